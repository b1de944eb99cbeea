"""What a stage asks of a frozen teacher: outputs, and what an objective observes beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from minidisc_plugin.contracts.objective import DOMAIN, EXAMPLE, PROGRESS
from minidisc_plugin.foundation.digests import digest_of_dataset

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel

    from minidisc_plugin.contracts.objective import Objective
    from minidisc_plugin.contracts.task import Task

KEPT = ("logits", "start_logits", "end_logits", "hidden_states")
"""What objectives compare, as models call it."""


def plain_attention() -> AbstractContextManager[None]:
    """Inside, attention is computed by matrix products: fused kernels have no second derivative."""
    kernels: AbstractContextManager[None] = sdpa_kernel(SDPBackend.MATH)
    return kernels


@contextmanager
def asking(objective: Objective, model: nn.Module) -> Iterator[dict[str, bool]]:
    """Inside, a model can give what an objective compares; what it has to be called with for that."""
    wanted = {"output_hidden_states": objective.needs_hidden_states}
    with attention_for(objective, model):
        yield {**wanted, "output_attentions": True} if objective.needs_attentions else wanted


def attention_for(objective: Objective, model: nn.Module) -> AbstractContextManager[None]:
    """Inside, a model can give attention weights if an objective compares them."""
    return _attention_by_steps(model) if objective.needs_attentions else nullcontext()


@contextmanager
def _attention_by_steps(model: nn.Module) -> Iterator[None]:
    """Inside, a model computes attention step by step, and so can give its weights; fused kernels keep them."""
    parts: Iterator[Any] = (getattr(part, "config", None) for part in model.modules())
    configs = {id(config): config for config in parts if hasattr(config, "_attn_implementation")}.values()
    before = [config._attn_implementation for config in configs]
    try:
        for config in configs:
            config._attn_implementation = "eager"
        yield
    finally:
        for config, kept in zip(configs, before, strict=True):
            config._attn_implementation = kept


def observed(
    objective: Objective,
    teacher: PreTrainedModel,
    inputs: Mapping[str, Any],
    options: Mapping[str, Any],
    batch: Mapping[str, Tensor],
) -> Any:
    """A teacher's output, and what an objective observes of it beside, all without derivatives.

    Args:
        objective: Asks.
        teacher: The frozen model.
        inputs: What the model takes.
        options: How it is called.
        batch: `inputs` and labels.
    """
    with torch.enable_grad(), plain_attention(), asking(objective, teacher) as wanted:
        output = teacher(**inputs, **{**options, **wanted, "output_hidden_states": True})
        found = objective.observe(teacher, output, batch)
    kept = {name: _detached(value) for name, value in output.items()}
    return SimpleNamespace(**{"hidden_states": None, **kept, **{name: found[name] for name in objective.observes}})


def asked_beside(
    objective: Objective, batch: Mapping[str, Tensor], teacher: Any, known: Mapping[str, Callable[[], Tensor]]
) -> dict[str, Tensor]:
    """A batch with what the objective asks for beside it.

    Args:
        objective: Asks.
        batch: As the task gives it.
        teacher: The teacher's output, as `observed` or a cache gives it where something is observed.
        known: What gives EXAMPLE, DOMAIN and PROGRESS to one that reads them.
    """
    reads = {EXAMPLE: objective.reads_examples, DOMAIN: objective.reads_domains, PROGRESS: objective.reads_progress}
    found = {name: give() for name, give in known.items() if reads[name]}
    return {**batch, **{name: getattr(teacher, name) for name in objective.observes}, **found}


@dataclass(frozen=True)
class Asked:
    """What is asked of a frozen teacher for each example.

    Attributes:
        states: Whether hidden states are.
        compared: Which of so many.
        observer: The objective that observes more; None where none does.
    """

    states: bool
    compared: Callable[[int], Sequence[int]]
    observer: Objective | None = None

    @property
    def observed(self) -> tuple[str, ...]:
        """Names of what is observed."""
        return () if self.observer is None else self.observer.observes

    def says(self, examples: Dataset, labels: Sequence[str]) -> dict[str, Any]:
        """What decides about the answers, beside the teacher and its inputs; nothing where nothing is observed."""
        if self.observer is None:
            return {}
        held = [name for name in labels if name in examples.column_names]
        return {
            "observer": [self.observer.name, self.observer.settings.model_dump(mode="json")],
            "labels": digest_of_dataset(examples.select_columns(held)) if held else "",
        }

    def answers(self, teacher: PreTrainedModel, task: Task, batch: Mapping[str, Tensor]) -> dict[str, Any]:
        """A teacher's outputs by name, on the CPU; those that it has of `KEPT`, and what is observed.

        Args:
            teacher: On its device.
            task: What it does.
            batch: As the collator makes it.
        """
        inputs = {name: value.to(teacher.device) for name, value in task.inputs(batch, teacher).items()}
        if self.observer is not None:
            moved = {name: value.to(teacher.device) for name, value in batch.items()}
            found = vars(observed(self.observer, teacher, inputs, task.options, moved))
        else:
            with torch.inference_mode():
                found = teacher(**inputs, **task.options, output_hidden_states=self.states)
        names = [name for name in (*KEPT, *self.observed) if found.get(name) is not None]
        return {name: _on_cpu(found[name]) for name in names}


def _on_cpu(value: Any) -> Any:
    return tuple(map(_on_cpu, value)) if isinstance(value, (tuple, list)) else value.cpu()


def _detached(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return tuple(map(_detached, value))
    return value.detach() if isinstance(value, Tensor) else value
