"""The paper's objective as a distillation loss of Neural Compressor, called `MiniDiscLoss`."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from neural_compressor.compression.distillation.criterions import (
    Criterions,
    KnowledgeDistillationLoss,
    PyTorchKnowledgeDistillationLoss,
    criterion_registry,
)
from neural_compressor.config import DotDict
from torch import Tensor, nn

from minidisc_plugin.contracts.distillation import DistillationConfig
from minidisc_plugin.foundation.decoders import has_decoder
from minidisc_plugin.foundation.errors import UnsupportedModelError
from minidisc_plugin.objectives import MiniDiscObjective
from minidisc_plugin.tasks.frames import convolutions, frame_mask

LOSS_NAME = "MiniDiscLoss"


class MiniDiscLossConfig:
    """What `neural_compressor.DistillationConfig(criterion=...)` takes to distil by the paper's objective.

    Args:
        temperature: Of the logits on both sides, above 0.
        loss_weights: Weights of the labels' loss and of the objective; they sum to 1. The paper uses no labels.
        regression: Whether the logits are real numbers and not classes.
    """

    def __init__(
        self, temperature: float = 1.0, loss_weights: Sequence[float] = (0.0, 1.0), regression: bool = False
    ) -> None:
        if temperature <= 0:
            raise ValueError(f"temperature: {temperature!r} cannot be used: give a number above 0")
        if len(loss_weights) != 2 or min(loss_weights) < 0 or abs(sum(loss_weights) - 1) > 1e-9:
            raise ValueError(f"loss_weights: {loss_weights!r} cannot be used: give two from 0 to 1 that sum to 1")
        self.config = DotDict(
            {
                LOSS_NAME: {
                    "temperature": float(temperature),
                    "loss_weights": [float(weight) for weight in loss_weights],
                    "regression": bool(regression),
                }
            }
        )


class HiddenStates:
    """Records a model's hidden states and attention mask while it runs, whoever calls it.

    Args:
        model: A Hugging Face model; what it returns to its caller, and its gradients, are left as they are.

    Raises:
        UnsupportedModelError: an encoder-decoder, whose states are of two kinds, or one of several labels an example.
    """

    def __init__(self, model: Any) -> None:
        if has_decoder(model):
            raise UnsupportedModelError(
                f"model: Neural Compressor's {LOSS_NAME} cannot follow {model.config.model_type!r}, an "
                "encoder-decoder; set trainer: transformers"
            )
        if getattr(model.config, "problem_type", None) == "multi_label_classification":
            raise UnsupportedModelError(
                f"model: Neural Compressor's {LOSS_NAME} compares one class an example, and the model gives several "
                "(multi_label_classification); set trainer: transformers"
            )
        self._convolutions = convolutions(model.config)
        self.states: list[Tensor] = []
        self.mask: Tensor | None = None
        self._asked = False
        base = model.base_model
        # Of several on one model the last to begin is the first to end: each takes away what it asked for itself.
        self._handles = [
            base.register_forward_pre_hook(self._begin, with_kwargs=True),
            base.register_forward_hook(self._end, prepend=True),
        ]

    def close(self) -> None:
        """Look at the model no longer."""
        self.clear()
        for handle in self._handles:
            handle.remove()

    def clear(self) -> None:
        """Forget what was recorded."""
        self.states, self.mask = [], None

    @property
    def frames(self) -> Tensor | None:
        """The mask of the states: of texts that of their tokens, of sounds that of the frames that samples became."""
        return None if self.mask is None else frame_mask(self.mask, self.states[0].shape[1], self._convolutions)

    def _begin(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.clear()
        self.mask = kwargs.get("attention_mask", args[1] if len(args) > 1 else None)
        self._asked = bool(kwargs.get("output_hidden_states"))
        return args, {**kwargs, "output_hidden_states": True, "return_dict": True}

    def _end(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        self.states = list(output.hidden_states)
        if self._asked:
            return output
        return type(output)(**{name: value for name, value in output.items() if name != "hidden_states"})


class MiniDiscLoss(PyTorchKnowledgeDistillationLoss):  # type: ignore[misc]
    """The mean of the hidden states' squared error and the logits' soft cross entropy (section 3.2 of the paper).

    Neural Compressor and `INCTrainer` hand over logits only; hidden states are taken from both models by hooks.
    """

    def __init__(
        self,
        temperature: float = 1.0,
        loss_weights: Sequence[float] = (0.0, 1.0),
        regression: bool = False,
        student_model: Any = None,
        teacher_model: Any = None,
    ) -> None:
        KnowledgeDistillationLoss.__init__(
            self, temperature, ["CE", "CE"], list(loss_weights), student_model, teacher_model
        )
        self._objective = MiniDiscObjective(DistillationConfig(temperature=temperature), regression=regression)
        self._student = HiddenStates(student_model)
        self._teacher = HiddenStates(teacher_model)
        # The models outlive the loss: a teacher has several students.
        for states in (self._student, self._teacher):
            weakref.finalize(self, states.close)

    def teacher_student_loss_cal(self, student_outputs: Tensor, teacher_outputs: Tensor) -> Tensor:
        """The objective of a batch.

        Args:
            student_outputs: (batch, labels) logits divided by the temperature.
            teacher_outputs: Likewise.

        Raises:
            ValueError: the teacher did not run, because its logits came with the batch.
        """
        if len(self._teacher.states) != len(self._student.states):
            raise ValueError(
                f"{LOSS_NAME} compares hidden states, and the teacher has not run on this batch: "
                "take the column `teacher_logits` out of the dataset, or use KnowledgeDistillationLoss"
            )
        temperature = float(self.temperature)
        student = SimpleNamespace(logits=student_outputs * temperature, hidden_states=self._student.states)
        teacher = SimpleNamespace(
            logits=teacher_outputs.detach() * temperature,
            hidden_states=[states.detach() for states in self._teacher.states],
        )
        mask = self._student.frames
        loss: Tensor = self._objective(student, teacher, {} if mask is None else {"attention_mask": mask})
        self._student.clear()
        self._teacher.clear()
        return loss / temperature**2  # by which hosts multiply it, and the paper does not

    def teacher_model_forward(self, input: Any, teacher_model: Any = None, device: Any = None) -> Any:
        """The teacher's logits, without gradient."""
        return _logits(super().teacher_model_forward(input, teacher_model, device))

    def loss_cal_sloss(self, student_outputs: Any, teacher_outputs: Any, student_loss: Any) -> Any:
        """Weighted sum of the labels' loss and the objective, for loops that are not `INCTrainer`'s."""
        return super().loss_cal_sloss(_logits(student_outputs), _logits(teacher_outputs), student_loss)

    def student_targets_loss_cal(self, student_outputs: Tensor, targets: Tensor) -> Tensor:
        """The labels' loss, for loops that ask the criterion for it."""
        if self._objective.regression:
            return nn.functional.mse_loss(student_outputs.squeeze(-1), targets)
        return nn.functional.cross_entropy(student_outputs, targets)


def _logits(outputs: Any) -> Any:
    """Logits of a Hugging Face output, or what was given."""
    return getattr(outputs, "logits", outputs)


class _MiniDiscLossMaker:
    """What Neural Compressor's registry holds: settings in, the loss's class and arguments out."""

    def __init__(self, param_dict: dict[str, Any]) -> None:
        self.param_dict = dict(param_dict)

    def __call__(self) -> tuple[type[MiniDiscLoss], dict[str, Any]]:
        return MiniDiscLoss, dict(self.param_dict)


criterion_registry(LOSS_NAME, "pytorch")(_MiniDiscLossMaker)
if LOSS_NAME not in Criterions("pytorch").criterions:  # made before this module was imported
    Criterions("pytorch").register(LOSS_NAME, _MiniDiscLossMaker)
