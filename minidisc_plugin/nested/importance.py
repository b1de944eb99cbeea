"""Importance of heads and neurons: the sum over examples of |dL/dmask| with every mask at one (section 3.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.nested.units import Structure, Units
from minidisc_plugin.tasks.registry import task_of_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def importance(
    model: PreTrainedModel,
    structure: Structure,
    batches: Iterable[Mapping[str, Any]],
) -> tuple[list[Tensor], list[Tensor]]:
    """Score every head and neuron on labelled batches.

    Each example has masks of its own, so the absolute value is taken per example: the scores do not depend on how
    examples are batched or padded.

    Args:
        model: The network at its full size; its mode, gradients and `requires_grad` flags are left as they were.
        structure: What can be sliced in it.
        batches: Mappings of tensors that hold the model's inputs and `labels`; the model's own loss is used.

    Returns:
        Two lists with, per place, (units,) scores on the CPU: of heads and of neurons.

    Raises:
        DataError: no batch, a batch without labels, or a loss that is not finite.
    """
    places = structure.places
    all_scores = [torch.zeros(units.count, dtype=torch.float64) for units in places]
    task = task_of_model(model)
    examples = 0
    with _frozen(model):
        for batch in batches:
            terms = task.terms(batch)
            if not terms:
                continue  # nothing in it counts, and a mean over nothing is no number
            inputs = {name: value.to(model.device) for name, value in batch.items() if torch.is_tensor(value)}
            size = len(inputs["input_ids"] if "input_ids" in inputs else next(iter(inputs.values())))
            with _masks(places, size) as masks:
                loss = model(**inputs).loss
                if not torch.isfinite(loss):
                    raise DataError(f"importance: the teacher's loss is {loss.item()} after {examples} examples")
                # The model's loss is a mean over what its task counts; the sum does not depend on batches.
                wanted = [mask for mask in masks if mask.shape[1]]
                found = iter(torch.autograd.grad(loss * terms, wanted, allow_unused=True))
            for scores, mask in zip(all_scores, masks, strict=True):
                gradient = next(found) if mask.shape[1] else None
                if gradient is not None:
                    scores += gradient.abs().sum(0).double().cpu()
            examples += size
    if not examples:
        raise DataError("importance needs at least one labelled batch")
    return all_scores[: len(structure.heads)], all_scores[len(structure.heads) :]


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, and gradients for masks only: no memory is spent on parameter gradients."""
    training = model.training
    wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.eval()
    for parameter in wanted:
        parameter.requires_grad_(False)
    try:
        with torch.enable_grad():
            yield
    finally:
        model.train(training)
        for parameter in wanted:
            parameter.requires_grad_(True)


@contextmanager
def _masks(places: Sequence[Units], size: int) -> Iterator[list[Tensor]]:
    """Masks of ones, (examples, units) per place, multiplied into what the output projections read."""
    handles = []
    masks: list[Tensor] = []
    for units in places:
        weight = None if units.output is None else units.output.weight
        mask = torch.ones(
            size,
            units.count,
            dtype=None if weight is None else weight.dtype,
            device=None if weight is None else weight.device,
            requires_grad=True,
        )
        masks.append(mask)
        if units.count:
            handles.append(units.output.register_forward_pre_hook(_multiply_by(mask)))
    try:
        yield masks
    finally:
        for handle in handles:
            handle.remove()


def _multiply_by(mask: Tensor) -> Any:
    def hook(module: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        features = arguments[0]
        size, units = mask.shape
        rows = features.shape[0]  # more than examples where a model puts the tokens of all of them into one row
        each = mask if rows == size else mask.repeat_interleave(rows // size, dim=0)
        masked = features.view(*features.shape[:-1], units, -1) * each.view(rows, *[1] * (features.dim() - 2), units, 1)
        return (masked.view_as(features), *arguments[1:])

    return hook
