"""`trainer: inc`: the student of a compression config, distilled by `INCTrainer`."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from neural_compressor.config import DistillationConfig, KnowledgeDistillationLossConfig

from minidisc_plugin.contracts.objective import Objective
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.integrations.inc.criterion import MiniDiscLossConfig
from minidisc_plugin.integrations.optimum.trainer import ScheduledINCTrainer
from minidisc_plugin.objectives import KnowledgeDistillation, MiniDiscObjective
from minidisc_plugin.training.dependable import DependableTraining
from minidisc_plugin.training.evaluation import WholeEvaluation

if TYPE_CHECKING:
    from transformers import PreTrainedModel, TrainingArguments
    from transformers.trainer_utils import TrainOutput

# What INCTrainer notes in the config of the model that it trains.
_NOTES = ("backend", "framework", "torch_dtype")


class INCDistiller(DependableTraining, WholeEvaluation, ScheduledINCTrainer):
    """Distils a student from a frozen teacher by the training loop and the losses of the host.

    Args:
        student: The model to train.
        teacher: The model to follow.
        objective: The objective of the config; one that Neural Compressor has as a loss.
        args: As `Trainer`.
        drawn: See GlobalBatches.
        **kwargs: As `Trainer`.

    Raises:
        ConfigError: Neural Compressor has no loss for the objective.
    """

    reads_cache = False  # the host runs its teacher itself
    whole_steps = True  # the host would carry an incomplete step over into the next epoch, and lose it at a resume

    def __init__(
        self,
        student: PreTrainedModel,
        *,
        teacher: PreTrainedModel,
        objective: Objective,
        args: TrainingArguments,
        drawn: int | None = None,
        **kwargs: Any,
    ) -> None:
        args = copy.copy(args)
        args.do_train = True  # or INCTrainer leaves its configs aside
        self._noted = {name: getattr(student.config, name, None) for name in _NOTES}
        self.drawn = drawn
        self._teacher = teacher.to(args.device).eval()
        super().__init__(
            student,
            args,
            distillation_config=DistillationConfig(teacher_model=teacher, criterion=criterion_of(objective)),
            **kwargs,
        )

    def train(self, *args: Any, **kwargs: Any) -> TrainOutput:
        """As `INCTrainer`, without gradients for the teacher; the student's config is left as it came."""
        wanted = [parameter for parameter in self._teacher.parameters() if parameter.requires_grad]
        try:
            for parameter in wanted:
                parameter.requires_grad_(False)
            return super().train(*args, **kwargs)
        finally:
            for parameter in wanted:
                parameter.requires_grad_(True)
            for name, value in self._noted.items():
                if value is None:
                    self.model.config.__dict__.pop(name, None)
                else:
                    setattr(self.model.config, name, value)


def criterion_of(objective: Objective) -> Any:
    """Neural Compressor's config of the loss that an objective is.

    Raises:
        ConfigError: it has none.
    """
    settings = objective.settings
    if isinstance(objective, MiniDiscObjective):
        return MiniDiscLossConfig(settings.temperature, regression=objective.regression)
    own_loss = "MSE" if objective.regression else "CE"  # INCTrainer takes the labels' loss from the model
    if isinstance(objective, KnowledgeDistillation) and objective.label_weight and objective.label_type != own_loss:
        raise ConfigError(
            f"trainer: 'inc' takes the loss against labels from the model, which is {own_loss}; "
            "set trainer: transformers, or the first of distillation.loss_types to it"
        )
    if isinstance(objective, KnowledgeDistillation):
        return KnowledgeDistillationLossConfig(
            temperature=settings.temperature,
            loss_types=[objective.label_type, objective.teacher_type],
            loss_weights=[objective.label_weight, objective.teacher_weight],
        )
    raise ConfigError(
        f"trainer: 'inc' has no loss for the objective {settings.objective!r}; set trainer: transformers, "
        "or distillation.objective to minidisc or knowledge_distillation"
    )
