"""`INCTrainer` of Optimum Intel, with a scheduler that chooses the teacher assistant before it trains."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optimum.intel import INCTrainer
from transformers.utils import WEIGHTS_NAME

from minidisc_plugin.contracts.scheduler import Schedule, Scheduler
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.integrations.inc.criterion import LOSS_NAME
from minidisc_plugin.integrations.inc.scheduling import TEACHER_LOGITS, Scheduled, scheduling_task
from minidisc_plugin.integrations.optimum.compatible import CompatibleINCTrainer
from minidisc_plugin.integrations.optimum.teacher_logits import with_teacher_logits
from minidisc_plugin.nested.checkpoint import NarrowCheckpoint
from minidisc_plugin.training.arguments import tokenizer_argument

if TYPE_CHECKING:
    from transformers.trainer_utils import TrainOutput

_CONFIGS = ("quantization_config", "pruning_config", "distillation_config")
_SIGNATURE = inspect.signature(INCTrainer.__init__)


class ScheduledINCTrainer(CompatibleINCTrainer):
    """`INCTrainer` that first chooses the teacher assistant, then trains the sliced student by the user's configs.

    `train()` makes the schedule, puts the assistant into `distillation_config.teacher_model` and the student into
    the trainer, and goes on as `INCTrainer` does. Without a scheduler it is `INCTrainer`, on every transformers from
    4.45 to 4.57.

    Args:
        *args: As `INCTrainer`.
        scheduler: A name, or a scheduler with its settings.
        scheduler_config: The scheduler's settings; `target_sparsity` is the student's. Without it, that of
            `pruning_config` is, and the slices are that pruning; with it, `pruning_config` prunes the student on top.
        **kwargs: As `INCTrainer`. The teacher is `distillation_config.teacher_model`, or `model` without one; without
            a distillation config the paper's loss is used. `train_dataset`, `args` and `compute_metrics` are needed,
            and `args.metric_for_best_model` where there are several metrics.

    Attributes:
        schedule: Assistants, student and how they were chosen; None before `train()`.

    Raises:
        ConfigError: a setting cannot be used, or something that the scheduler needs is missing.
    """

    callback_handler: Any

    def __init__(
        self,
        *args: Any,
        scheduler: str | Scheduler | None = None,
        scheduler_config: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.schedule: Schedule | None = None
        self._scheduling = None
        arguments = _SIGNATURE.bind(self, *args, **kwargs).arguments
        arguments |= arguments.pop("kwargs", {})
        del arguments["self"]
        if scheduler is not None:
            if any(arguments.get("optimizers", (None, None))):
                raise ConfigError("optimizers: made before the model is sliced, it cannot train it; leave it out")
            self._scheduling = scheduling_task(
                scheduler, scheduler_config, arguments.get("distillation_config"), arguments.get("pruning_config")
            )
            self._arguments = dict(arguments)
            # Neural Compressor prepares the model as it is made, and the student is not made yet.
            for name in _CONFIGS:
                arguments[name] = None
        super().__init__(**arguments)

    def train(self, resume_from_checkpoint: str | bool | None = None, **kwargs: Any) -> TrainOutput:
        """Choose the assistant, then train as `INCTrainer` does.

        Args:
            resume_from_checkpoint: As `Trainer.train`; also goes on with a schedule that was cut off.
            **kwargs: As `Trainer.train`.
        """
        if self._scheduling is not None and self.schedule is None:
            self._install(resume=bool(resume_from_checkpoint))
            if resume_from_checkpoint is True and not _has_checkpoint(str(self.args.output_dir)):
                resume_from_checkpoint = None  # cut off while the schedule was made
        return super().train(resume_from_checkpoint=resume_from_checkpoint, **kwargs)

    def _install(self, resume: bool) -> None:
        """Make the schedule, and this trainer anew around the student."""
        assert self._scheduling is not None
        arguments = dict(self._arguments)
        scheduled = self._scheduling.run(
            self.model,
            train_dataset=self.train_dataset,
            args=self.args,
            compute_metrics=self.compute_metrics,
            eval_dataset=self.eval_dataset if self.args.load_best_model_at_end else None,
            processing_class=getattr(self, tokenizer_argument()),
            data_collator=self.data_collator,
            preprocess_logits_for_metrics=self.preprocess_logits_for_metrics,
            resume=resume,
        )
        for assistant in scheduled.schedule.assistants:
            assistant.requires_grad_(False)  # INCTrainer runs its teacher with gradients on
        arguments.update(
            model=scheduled.schedule.student,
            model_init=None,
            distillation_config=scheduled.distillation,
            pruning_config=scheduled.pruning,
            train_dataset=self._relabelled(scheduled),
        )
        handler = self.callback_handler
        super().__init__(**arguments)
        handler.model, self.callback_handler = self.model, handler  # with callbacks that were added since
        # The file's teacher is the one that the schedule starts from; the assistant lies nowhere yet.
        self.inc_config.distillation["teacher_model_name_or_path"] = scheduled.teacher.config.name_or_path
        chosen = self._scheduling.scheduler
        self.inc_config.scheduler = chosen.name
        self.inc_config.scheduler_config = chosen.model_dump(mode="json", by_alias=True, exclude_none=True)
        self.schedule = scheduled.schedule

    def _relabelled(self, scheduled: Scheduled) -> Any:
        """The training set; logits that came with it are the teacher's, so the assistant's take their place."""
        dataset, assistant = self.train_dataset, scheduled.schedule.assistant
        if assistant is None or TEACHER_LOGITS not in getattr(dataset, "column_names", []):
            return dataset
        if LOSS_NAME in getattr(scheduled.distillation.criterion, "config", {}):
            return dataset.remove_columns(TEACHER_LOGITS)  # the paper's loss needs hidden states: the assistant runs
        return with_teacher_logits(dataset, assistant, self.data_collator, self.args.per_device_eval_batch_size)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """As `INCTrainer`; a narrow model that is not quantised is saved so that it loads anywhere."""
        super()._save(output_dir, state_dict)
        if not isinstance(self.model, NarrowCheckpoint) or self.quantization_config is not None:
            return
        folder = Path(str(output_dir or self.args.output_dir))
        self.model.save_pretrained(folder, state_dict=state_dict)
        (folder / WEIGHTS_NAME).unlink()


def _has_checkpoint(folder: str) -> bool:
    from transformers.trainer_utils import get_last_checkpoint

    return Path(folder).is_dir() and get_last_checkpoint(folder) is not None
