"""A few examples through the teacher, and what goes beside its weights: what fails there would fail a run later on."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.objective import DOMAIN, EXAMPLE, PROGRESS
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.model_files.explain import one_line
from minidisc_plugin.foundation.model_files.processor_saving import save_processor
from minidisc_plugin.foundation.model_files.quiet import quiet
from minidisc_plugin.plugins.guarded import GuardedObjective
from minidisc_plugin.run.checks.examples import lengths
from minidisc_plugin.run.data.collating import collator_of
from minidisc_plugin.run.objective_choice import check_lessons, objective_of

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from transformers import PreTrainedModel

    from minidisc_plugin.contracts.config import CompressionConfig
    from minidisc_plugin.contracts.objective import Objective
    from minidisc_plugin.contracts.run import Prepared

_EXAMPLES = 2


def try_teacher(prepared: Prepared) -> None:
    """Compute what importance will of all examples: of the first two, then of the longest; find what can be sliced.

    Raises:
        ConfigError: the teacher cannot compute them, or gives what is no number.
        UnsupportedModelError: its modules are not where its family says.
    """
    _find_slices(prepared)
    prepared.teacher.to(prepared.args.device).eval()
    reader, sequences = prepared.task.reader, prepared.task.sequences
    remedy = f"correct its config.json, or give the config and the {reader} that it was trained with"
    _try_rows(prepared, _first(prepared), "the first examples of the data", remedy)
    if not sequences:
        for split in prepared.splits.all:  # of which one may hold examples of another size
            _try_rows(prepared, _rows(prepared, split, [0]), "an example of the data", remedy)
        return
    rows, tokens = _longest(prepared)
    remedy = f"set a max_length below {prepared.config.max_length}, which the model can compute"
    _try_rows(prepared, rows, f"the longest example of the data, of {tokens} tokens", remedy)


def _try_rows(prepared: Prepared, rows: list[Any], said: str, remedy: str) -> None:
    """Compute the loss and the outputs of a batch.

    Args:
        prepared: The run.
        rows: Examples of the batch.
        said: What they are, for messages.
        remedy: What helps where they cannot be computed.

    Raises:
        ConfigError: they cannot, or what comes out is no number.
    """
    import torch

    task, teacher, where = prepared.task, prepared.teacher, f"model: {prepared.config.model!r}"
    try:
        batch = _batch(prepared, rows)
        with torch.no_grad():
            output = teacher(**task.ranked_by(batch), **task.options)
            found = _tensors(task.logits(output, batch))
    except Exception as error:  # of any layer of the model
        raise ConfigError(f"{where} cannot compute {said}: {one_line(error)}; {remedy}") from error
    labelled = batch.get(task.label_names[0]) is not None
    if labelled and task.terms(batch):
        if output.get("loss") is None:
            raise ConfigError(
                f"{where} is a {type(teacher).__name__}, which gives no loss that its units could be ranked by; save "
                "it as a class that takes labels"
            )
        found.append(output["loss"])
    if not all(torch.isfinite(value).all() for value in found):
        raise ConfigError(
            f"{where} gives outputs that are not finite (NaN or infinity) for {said}; correct its config.json, or give "
            "a teacher that works"
        )


def try_objective(prepared: Prepared) -> None:
    """Let the objective compare a model with itself, and with what else is followed, on two examples.

    Raises:
        PluginError: a third party's cannot be trained by.
    """
    import torch

    from minidisc_plugin.schedulers.rehearsal import twin
    from minidisc_plugin.training.domain_batches import domains_of
    from minidisc_plugin.training.guides import mean_of_guides
    from minidisc_plugin.training.observing import asked_beside, asking, observed, plain_attention
    from minidisc_plugin.training.own_network import equipped

    # A model that gives hidden states keeps hooks for them from then on.
    config, task, teacher = prepared.config, prepared.task, twin(prepared.teacher)
    objective = objective_of(prepared)
    check_lessons(config, objective)
    objective = equipped(objective, teacher, teacher, prepared.splits.pool.examples, config.seed)
    if objective.network is not None:
        objective.network.to(teacher.device)
    rows = _first(prepared)
    batch = _batch(prepared, rows)
    if objective.needs_attentions:
        check_attention(objective, teacher, {**task.inputs(batch, teacher), **task.options})
    guarded = isinstance(objective, GuardedObjective)
    differentiates = guarded or objective.needs_second_derivatives
    with asking(objective, teacher) as wanted:
        given = {**task.inputs(batch, teacher), **task.options, **wanted}
        with torch.set_grad_enabled(differentiates), plain_attention() if differentiates else nullcontext():
            student = teacher(**given)
        if objective.observes:
            output = observed(objective, teacher, task.inputs(batch, teacher), task.options, batch)
        else:
            with torch.no_grad():
                output = teacher(**given) if differentiates else student
    student, target, found = task.compared(student, output, batch)
    pool, device = prepared.splits.pool.examples, teacher.device
    known: dict[str, Callable[[], Tensor]] = {
        EXAMPLE: lambda: torch.arange(len(rows), device=device),
        DOMAIN: lambda: torch.tensor(domains_of(pool)[: len(rows)], device=device),
        PROGRESS: lambda: torch.tensor(0.0),
    }
    asked = asked_beside(objective, found, output, known)
    if config.distillation.guide == "both":
        mask = asked.get("logits_mask")
        target = mean_of_guides(target, target, regression=objective.regression, mask=mask)
    if isinstance(objective, GuardedObjective):
        objective.rehearse(student, target, asked)
    else:
        objective(student, target, asked)
    if objective.epochs_before > 0:
        objective.loss_before(student, target, asked)


def check_attention(objective: Objective, model: PreTrainedModel, given: Mapping[str, Any]) -> None:
    """Refuse a model that gives no attention weights to an objective that compares them.

    Raises:
        ConfigError: it gives none, or cannot be asked for them.
    """
    import torch

    from minidisc_plugin.training.observing import asking

    why = ""
    with torch.no_grad(), asking(objective, model) as wanted:
        try:
            found = getattr(model(**given, **wanted), "attentions", None) or [None]
        except Exception as error:  # of any layer of the model, which computes without them
            found, why = [None], f" ({one_line(error)})"
    if any(weights is None for weights in found):
        raise ConfigError(
            f"distillation.objective: {objective.name!r} compares attention weights, and {model.config.model_type} of "
            f"the installed transformers gives none{why}; set distillation.objective: minidisc"
        )


def try_saving(config: CompressionConfig, processor: Any, teacher: PreTrainedModel) -> None:
    """Save what goes beside a student's weights, in a folder that is gone at once.

    Args:
        config: Its keys are named.
        processor: Of the run.
        teacher: Likewise.

    Raises:
        ConfigError: transformers refuses to.
    """
    kept: dict[str, Callable[[Path], None]] = {
        f"tokenizer: {config.tokenizer or config.model!r} cannot be saved beside a student": (
            partial(save_processor, processor)
        ),
    }
    if teacher.can_generate():
        what = f"model: generation_config.json of {config.model!r} cannot be saved again, for a student"
        kept[what] = teacher.generation_config.save_pretrained
    with tempfile.TemporaryDirectory() as scratch:
        for what, save in kept.items():
            try:
                with quiet():
                    save(Path(scratch))
            except OSError:
                raise
            except Exception as error:  # each class has checks of its own
                raise ConfigError(f"{what}: {one_line(error)}; correct it") from error


def _find_slices(prepared: Prepared) -> None:
    """Find heads and neurons in a model without weights, as finding them changes the modules."""
    from minidisc_plugin.foundation.model_files.fit import describe
    from minidisc_plugin.nested.units import structure_of

    config = prepared.teacher.config
    described = describe(type(prepared.teacher), config, f"model: {prepared.config.model!r}")
    if described is not None:
        structure_of(described, prepared.family)


def _first(prepared: Prepared) -> list[Any]:
    """Two examples of the selection split."""
    split = prepared.splits.selection
    return _rows(prepared, split, range(min(_EXAMPLES, len(split))))


def _longest(prepared: Prepared) -> tuple[list[Any], int]:
    """Of all splits, the example with the longest input, and the one with the longest target; of how many tokens."""
    splits, found, tokens = prepared.splits.all, set(), 0
    for name in prepared.task.sequences:
        each = [lengths(split, name) for split in splits]
        place = max(range(len(splits)), key=lambda place: each[place].max(initial=0))
        found.add((place, int(each[place].argmax())))
        tokens = max(tokens, int(each[place].max(initial=0)))
    return [one for place, row in sorted(found) for one in _rows(prepared, splits[place], [row])], tokens


def _rows(prepared: Prepared, split: Dataset, indices: Iterable[int]) -> list[Any]:
    """Examples with the columns that a Trainer would leave."""
    taken = {*inspect.signature(prepared.teacher.forward).parameters, *prepared.task.label_names}
    rows = split.select(indices)
    return list(rows.select_columns([name for name in rows.column_names if name in taken]))


def _batch(prepared: Prepared, rows: list[Any]) -> dict[str, Any]:
    """Examples as the run makes batches of them, on the teacher's device."""
    return {name: value.to(prepared.teacher.device) for name, value in dict(collator_of(prepared)(rows)).items()}


def _tensors(found: Any) -> list[Any]:
    return [part for each in found for part in _tensors(each)] if isinstance(found, (tuple, list)) else [found]
