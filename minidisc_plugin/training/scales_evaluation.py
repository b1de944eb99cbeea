"""Evaluation of all scales of a nested network in one pass over the data: each batch is made and moved once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from transformers.trainer_utils import EvalLoopOutput, EvalPrediction, denumpify_detensorize

from minidisc_plugin.training.evaluation import TaskTrainer

if TYPE_CHECKING:
    from minidisc_plugin.nested.model import NestedModel


class ScalesEvaluation(TaskTrainer):
    """A Trainer whose metrics come once per scale (`eval_accuracy@0.3`), and as their mean.

    A scale that is evaluated no longer counts in the mean with the value that it had last: whoever follows the mean, as
    early stopping does, compares like with like.

    Attributes:
        nested: The network; `Trainer` sees its inner model.
        evaluated: The scales; the network is left at its largest.
    """

    nested: NestedModel
    evaluated: Sequence[float]
    compute_metrics: Any
    preprocess_logits_for_metrics: Any

    def prediction_step(
        self, model: nn.Module, inputs: Any, prediction_loss_only: bool, ignore_keys: list[str] | None = None
    ) -> tuple[Any, Any, Any]:
        """Predictions of every scale for one batch, as a metric takes them, then scores (examples, scales, kinds)."""
        inputs = self._prepare_inputs(inputs)
        predictions, scores, labels = [], [], None
        for scale in self.evaluated:
            computing = self.computing(scale, model)
            loss, logits, labels = super().prediction_step(computing, inputs, False, ignore_keys)
            reduce = self._reduce
            predictions.append(logits if reduce is None or logits is None else reduce(logits, labels))
            scores.append(self.scores(torch.full((), math.nan) if loss is None else loss.float(), inputs))
        self.nested.set_scale(self.nested.largest_scale)
        stacked = torch.stack(scores, dim=1)
        return stacked[..., 0].mean(), (*predictions, stacked), labels

    def computing(self, scale: float, model: nn.Module) -> nn.Module:
        """What computes at a scale: the network, set to it."""
        self.nested.set_scale(scale)
        return model

    def scores(self, loss: torch.Tensor, inputs: Any) -> torch.Tensor:
        """(examples, kinds) what to keep of a scale's pass over a batch; the first is the batch's mean loss."""
        size = len(next(value for value in inputs.values() if isinstance(value, torch.Tensor)))
        return loss.reshape(1, 1).expand(size, 1).contiguous()

    def keep(self, predictions: Sequence[Any], labels: Any, scores: Any) -> None:
        """Told what an evaluation found of each scale, and the scores (examples, scales, kinds)."""

    def evaluation_loop(
        self,
        dataloader: Any,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """See Trainer; the metrics are those of the scales."""
        compute, self._reduce = self.compute_metrics, self.preprocess_logits_for_metrics
        self.compute_metrics = self.preprocess_logits_for_metrics = None  # they take one model's predictions
        try:
            found = super().evaluation_loop(dataloader, description, False, ignore_keys, metric_key_prefix)
        finally:
            self.compute_metrics, self.preprocess_logits_for_metrics = compute, self._reduce
        *predictions, scores = found.predictions
        self.keep(predictions, found.label_ids, scores)
        metrics = {
            name: value
            for name, value in (found.metrics or {}).items()
            if name.removeprefix(f"{metric_key_prefix}_") != "loss"
        }
        of_scales: list[dict[str, float]] = []
        for place, scale in enumerate(self.evaluated):
            values = {"loss": float(scores[:, place, 0].mean())}
            if compute is not None and found.label_ids is not None:
                prediction = EvalPrediction(predictions=predictions[place], label_ids=found.label_ids)
                values |= denumpify_detensorize(compute(prediction))
            of_scales.append({f"{metric_key_prefix}_{name}": value for name, value in values.items()})
            metrics |= {f"{name}@{scale:g}": value for name, value in of_scales[-1].items()}
        for name in of_scales[0]:
            each = [values[name] for values in of_scales] + self._left_behind(name)
            metrics[name] = float(np.mean(each)) if all(map(math.isfinite, each)) else math.nan
        return EvalLoopOutput(predictions[-1], found.label_ids, metrics, found.num_samples)

    def _left_behind(self, name: str) -> list[float]:
        """A metric's last value of each scale that was evaluated earlier in this training, and is no longer."""
        still = {f"{name}@{scale:g}" for scale in self.evaluated}
        last: dict[str, float] = {}
        for entry in self.state.log_history:
            values = {key: value for key, value in entry.items() if key.startswith(f"{name}@") and key not in still}
            last |= {key: value for key, value in values.items() if math.isfinite(value)}
        return list(last.values())


class ScalesEvaluator(ScalesEvaluation):
    """Evaluates scales, and trains nothing.

    Args:
        nested: The network.
        scales: Which to evaluate.
        **kwargs: As `Trainer`, without `model`.
    """

    def __init__(self, nested: NestedModel, scales: Sequence[float], **kwargs: Any) -> None:
        super().__init__(model=nested.model, **kwargs)
        self.nested = nested
        self.evaluated = scales
