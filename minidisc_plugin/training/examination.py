"""Slices of a network, and models, on a split, example by example: what a choice among them is made by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from minidisc_plugin.training import example_scores
from minidisc_plugin.training.evaluation import TaskTrainer
from minidisc_plugin.training.scales_evaluation import ScalesEvaluator

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers.trainer_utils import EvalLoopOutput

    from minidisc_plugin.nested.model import NestedModel


class Examination(ScalesEvaluator):
    """Evaluates scales, and keeps what each example says of them; one more forward pass for the student's slice.

    Args:
        nested: The network.
        scales: Which to evaluate.
        student: Scale of the student's slice; None compares with none.
        teacher: What computes at scale 1, where the network was trimmed to less.
        regression: Whether logits are real numbers and not classes.
        **kwargs: As `Trainer`, without `model`.

    Attributes:
        predictions: Of each scale, as the metric takes them.
        labels: Likewise.
        losses: (examples, scales) on labels, in nats; see `example_scores`.
        gaps: (examples, scales) divergence of the student's slice; NaN without one.
    """

    predictions: Sequence[Any]
    labels: Any
    losses: NDArray[Any]
    gaps: NDArray[Any]

    def __init__(
        self,
        nested: NestedModel,
        scales: Sequence[float],
        student: float | None,
        *,
        teacher: nn.Module,
        regression: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(nested, scales, **kwargs)
        self.teacher = teacher
        self.student = student
        self.regression = regression
        self._output: Any = None
        self._of_student: Any = None

    def compute_loss(self, model: nn.Module, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """As Trainer; the output is kept for the scores."""
        wanted = bool(kwargs.pop("return_outputs", False))
        loss, self._output = super().compute_loss(model, inputs, *args, return_outputs=True, **kwargs)
        return (loss, self._output) if wanted else loss

    def computing(self, scale: float, model: nn.Module) -> nn.Module:
        """The network at that scale, or the teacher."""
        if scale > self.nested.largest_scale:
            return self.teacher.to(self.args.device).eval()
        return super().computing(scale, model)

    def prediction_step(
        self, model: nn.Module, inputs: Any, prediction_loss_only: bool, ignore_keys: list[str] | None = None
    ) -> tuple[Any, Any, Any]:
        """See ScalesEvaluation."""
        if self.student is not None:
            inputs = self._prepare_inputs(inputs)
            self.nested.set_scale(self.student)
            with torch.no_grad(), self.compute_loss_context_manager():
                self.compute_loss(model, inputs)
            self._of_student = self._output
        return super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)

    def scores(self, loss: torch.Tensor, inputs: Any) -> torch.Tensor:
        """(examples, 3): the batch's mean loss, each example's loss, and its gap."""
        usual = super().scores(loss, inputs)
        losses = example_scores.losses(self.task, self._output, inputs, regression=self.regression)
        gaps = torch.full_like(losses, torch.nan)
        if self.student is not None:
            gaps = example_scores.gaps(self.task, self._output, self._of_student, inputs, regression=self.regression)
        return torch.cat([usual, torch.stack([losses, gaps], dim=1).to(usual)], dim=1)

    def keep(self, predictions: Sequence[Any], labels: Any, scores: Any) -> None:
        """See ScalesEvaluation."""
        self.predictions, self.labels = predictions, labels
        self.losses, self.gaps = scores[..., 1], scores[..., 2]


class ModelExamination(TaskTrainer):
    """Evaluates a model, and keeps its predictions.

    Attributes:
        found: Predictions as the metric takes them, labels, and how many rows.
    """

    found: EvalLoopOutput

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> EvalLoopOutput:
        """See Trainer."""
        self.found = super().evaluation_loop(*args, **kwargs)
        return self.found
