"""What a model predicts for batches, in this process alone and in whatever runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import EvalPrediction, PreTrainedModel

    from minidisc_plugin.contracts.task import Task


def predict(
    model: Any,
    batches: Iterable[Mapping[str, Any]],
    task: Task,
    teacher: PreTrainedModel,
    reduce: Callable[..., Any] | None,
) -> EvalPrediction:
    """Predictions and labels, as `compute_metrics` takes them.

    Args:
        model: Takes a batch by name and returns its outputs by name.
        batches: With labels.
        task: What the model does.
        teacher: Tells what a model of its kind takes.
        reduce: As `Trainer` takes `preprocess_logits_for_metrics`.
    """
    import torch
    from transformers import EvalPrediction
    from transformers.trainer_pt_utils import nested_concat, nested_numpify

    device = model.device if isinstance(model, torch.nn.Module) else torch.device("cpu")
    predictions: Any = None
    labels: Any = None
    for batch in batches:
        inputs = {name: value.to(device) for name, value in task.inputs(batch, teacher).items()}
        wanted = tuple(batch[name] for name in task.label_names if name in batch)
        wanted = wanted[0] if len(wanted) == 1 else wanted
        with torch.inference_mode():
            found = _plain(task.logits(model(**inputs), inputs))
            found = found if reduce is None else reduce(found, wanted)
        predictions = found if predictions is None else nested_concat(predictions, found, padding_index=-100)
        labels = wanted if labels is None else nested_concat(labels, wanted, padding_index=-100)
    return EvalPrediction(nested_numpify(predictions), nested_numpify(labels))


def _plain(logits: Any) -> Any:
    """Of whatever runtime, in single precision on the CPU; a tuple of them likewise."""
    import torch

    if isinstance(logits, tuple):
        return tuple(_plain(part) for part in logits)
    return torch.as_tensor(logits).float().cpu()
