"""Training stages: each has a Trainer of its own, goes on from where it was cut off, and keeps its final weights."""

from __future__ import annotations

import copy
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.output import JOURNAL_FILE
from minidisc_plugin.contracts.scheduler import stage_of
from minidisc_plugin.foundation.errors import PluginFailedError
from minidisc_plugin.foundation.litter import COMPILED
from minidisc_plugin.foundation.printable import shown
from minidisc_plugin.foundation.processes import is_writer, wait_for_all
from minidisc_plugin.foundation.storage import storage_errors
from minidisc_plugin.nested.model import NestedModel
from minidisc_plugin.schedulers.journal import Journal
from minidisc_plugin.schedulers.kept_weights import load_weights, save_weights
from minidisc_plugin.training.arguments import for_stage
from minidisc_plugin.training.checkpoints import Checkpoint, checkpoints_in, take_up
from minidisc_plugin.training.device_memory import checkpoint_bytes, weight_bytes
from minidisc_plugin.training.own_network import Lesson, attach, detach, equipped, without

if TYPE_CHECKING:
    from transformers import PreTrainedModel, Trainer

    from minidisc_plugin.contracts.objective import Objective
    from minidisc_plugin.schedulers.means import Training
    from minidisc_plugin.schedulers.teacher_outputs import TeacherOutputs
    from minidisc_plugin.training.teacher_cache import TeacherCache

logger = logging.getLogger(__name__)

# What lies among the folders of stages.
_OTHERS = frozenset({"importance", "report", "teachers", "writing", COMPILED, JOURNAL_FILE, "ranking.safetensors"})


@dataclass(frozen=True)
class Stage:
    """What one stage trains.

    Attributes:
        name: Of the stage, and of the folder with its checkpoints.
        network: Trained in place.
        teacher: The frozen model to follow.
        make_trainer: Makes its Trainer: takes the network, and the arguments of DistillationTrainer by name.
        callbacks: As `Trainer` takes them, beside those of every stage.
        beside: A frozen assistant to follow beside the teacher.
    """

    name: str
    network: NestedModel | PreTrainedModel | Lesson
    teacher: PreTrainedModel
    make_trainer: Callable[..., Trainer]
    callbacks: Sequence[Any] = ()
    beside: PreTrainedModel | None = None

    @property
    def model(self) -> Any:
        """What holds the weights."""
        return self.network.model if isinstance(self.network, NestedModel) else self.network

    @property
    def before(self) -> str:
        """Name of the stage before, where an objective has one."""
        return f"{self.name}-objective"

    @property
    def reads_cache(self) -> bool:
        """Whether its Trainer can read the teacher's outputs from a cache."""
        return bool(getattr(self.make_trainer, "reads_cache", True))


class Stages:
    """Trains the stages of one run.

    Args:
        training: How each trains; its `args.output_dir` holds a folder for each.
        journal: Which of them are finished.
        trainer_arguments: See `means.trainer_arguments`.
        outputs: Gives the outputs of a teacher where keeping them pays.
        drawn: See GlobalBatches.
    """

    def __init__(
        self,
        training: Training,
        journal: Journal,
        trainer_arguments: Mapping[str, Any],
        outputs: TeacherOutputs,
        drawn: int | None = None,
    ) -> None:
        self.args = training.args
        self.training = training
        self.journal = journal
        self.trainer_arguments = trainer_arguments
        self.drawn = drawn
        self._outputs = outputs
        self._names: set[str] = set()
        self._scale: float | None = None

    def of(self, scale: float) -> Stages:
        """The same for one of several students: stages that it is given are those of that student."""
        own = copy.copy(self)
        own._scale = scale
        return own

    def _own(self, name: str) -> str:
        return name if self._scale is None else stage_of(name, self._scale)

    def claim(self, name: str) -> None:
        """Take a name for one stage: what is kept under it would be taken for that of another.

        Raises:
            PluginFailedError: this run had a stage of that name, or the checkpoints hold something else under it.
        """
        self._claim(self._own(name))

    def _claim(self, name: str) -> None:
        if name in self._names or name in _OTHERS:
            raise PluginFailedError(
                f"stage {shown(name)}: the name is taken in this run; give each stage one of its own"
            )
        self._names.add(name)

    def trainer(
        self,
        stage: Stage,
        cache: TeacherCache | None = None,
        checkpoint: Checkpoint | None = None,
        beside_cache: TeacherCache | None = None,
    ) -> Trainer:
        """The Trainer of a stage, which has not trained anything yet.

        Args:
            stage: What it trains.
            cache: The teacher's outputs for the training set, read in place of running it.
            beside_cache: The same of the assistant beside it.
            checkpoint: What it will go on from.
        """
        from minidisc_plugin.training.checkpoint_keeper import CheckpointKeeper
        from minidisc_plugin.training.progress import show_progress
        from minidisc_plugin.training.resumable import make_resumable
        from minidisc_plugin.training.sharding import is_sharded

        # A mark of the evaluation before, copied into slices: accelerate would take the model for one that it has
        # wrapped already, and processes would train apart.
        stage.model.__dict__.pop("_is_accelerate_prepared", None)
        if is_sharded(self.args):  # which takes the modules' parameters from them for good
            stage = replace(stage, network=copy.deepcopy(stage.network))
        engine = self.training.engine
        own: dict[str, Any] = {}
        if stage.reads_cache:
            own = {"cache": cache, "tokens_per_batch": engine.tokens_per_batch, "compile": engine.compile or False}
        if stage.beside is not None:
            own |= {"beside": stage.beside, "beside_cache": beside_cache}
        if self.drawn is not None:
            own["drawn"] = self.drawn
        args = for_stage(self.args, stage.name, self.trainer_arguments["eval_dataset"])
        make_resumable(args)
        if checkpoint is not None:
            args.eval_on_start = False  # it is not the start
        own_callbacks = () if isinstance(stage.model, Lesson) else self.training.callbacks  # they look at the student
        callbacks = copy.deepcopy([*own_callbacks, *stage.callbacks])
        callbacks.append(CheckpointKeeper(self.args.save_total_limit, checkpoint))
        trainer = stage.make_trainer(
            stage.network,
            args=args,
            teacher=stage.teacher,
            objective=self._equipped(stage),
            callbacks=callbacks,
            **own,
            **self.trainer_arguments,
        )
        show_progress(trainer, stage.name)
        return trainer

    def run(self, stage: Stage) -> None:
        """Train, keep the final weights, drop the checkpoints; or take over the weights of a finished stage."""
        self._run(replace(stage, name=self._own(stage.name)))

    def _run(self, stage: Stage) -> None:
        from minidisc_plugin.training.sharding import is_sharded

        self._claim(stage.name)
        weights = self._weights(stage.name)
        folder = weights.parent
        if self.journal.finished(stage.name):
            self.journal.verify(stage.name)
            load_weights(stage.model, weights)
        else:
            self._teach_objective(stage)
            checkpoint = self._begin(stage, folder)
            logger.info("stage %s%s", stage.name, f", from {checkpoint.folder.name}" if checkpoint else "")
            with self.journal.stage(stage.name, files=[weights]):
                if checkpoint is not None and checkpoint.ends_stage:
                    best = checkpoint.best if self.args.load_best_model_at_end else None
                    (best or checkpoint).load_weights(stage.model)
                else:
                    self._train(stage, checkpoint)
                if is_writer():
                    save_weights(stage.model, weights)
            if is_sharded(self.args):
                wait_for_all()
                load_weights(stage.model, weights)
        if is_writer():
            for leftover in checkpoints_in(folder):
                leftover.remove()

    def _teach_objective(self, stage: Stage) -> None:
        """Train what the objective learns before a stage, where it learns something."""
        from minidisc_plugin.training.lesson import LessonTrainer

        objective = self.training.objective
        if objective.epochs_before <= 0 or isinstance(stage.model, Lesson):
            return
        if isinstance(stage.network, NestedModel):
            stage.network.set_scale(stage.network.largest_scale)  # whose states the others' are to be like
        examples = self.trainer_arguments["train_dataset"]
        taught = equipped(objective, stage.model, stage.teacher, examples, self.args.seed)
        if taught.network is None:  # nothing that could learn
            return
        make = partial(LessonTrainer, student=stage.model, epochs=objective.epochs_before)
        lesson = Lesson(taught.network, taught).requires_grad_(True)
        self._run(Stage(stage.before, lesson, stage.teacher, make))

    def _equipped(self, stage: Stage) -> Objective:
        """The objective of a stage, whose own network is a part of the model until the stage is over."""
        objective = self.training.objective
        if isinstance(stage.model, Lesson):
            return objective
        examples = self.trainer_arguments["train_dataset"]
        taught = self._weights(stage.before) if self.journal.finished(stage.before) else None
        objective = equipped(objective, stage.model, stage.teacher, examples, self.args.seed, taught)
        attach(stage.model, objective)
        return objective

    def _weights(self, name: str) -> Path:
        """Where a stage keeps its final weights."""
        return Path(str(for_stage(self.args, name).output_dir)) / "weights.safetensors"

    def _begin(self, stage: Stage, folder: Path) -> Checkpoint | None:
        """The checkpoint that a stage goes on from; what an earlier run left is removed, unless resuming.

        What candidates a checkpoint dropped stands in the journal: without that, the stage begins anew.
        """
        if self.training.resume and not self.journal.is_gone:
            return take_up(folder, stage.name, needs_best=bool(self.args.load_best_model_at_end))
        if is_writer():
            shutil.rmtree(folder, ignore_errors=True)
        return None

    def _train(self, stage: Stage, checkpoint: Checkpoint | None) -> None:
        """Train the model of a stage in place."""
        from minidisc_plugin.training.dropout import without_dropout
        from minidisc_plugin.training.sharding import is_sharded

        folder = Path(str(self.args.output_dir)) / stage.name
        cache = beside = None
        if stage.reads_cache:
            cache = self._outputs.cache(stage.teacher, stage.name, checkpoint is not None)
        if stage.beside is not None:
            beside = self._outputs.cache(stage.beside, stage.name, checkpoint is not None, beside=True)
        with without_dropout(stage.model, layers_alone=bool(self.training.engine.dropout)):
            trainer = self.trainer(stage, cache, checkpoint, beside)
            try:
                # With what the objective learns beside it.
                with storage_errors(folder, checkpoint_bytes(self.args, weight_bytes(stage.model)), during_run=True):
                    trainer.train(resume_from_checkpoint=str(checkpoint.folder) if checkpoint else None)
            finally:
                detach(stage.model)
            if is_sharded(self.args):
                whole = trainer.accelerator.get_state_dict(trainer.model_wrapped)
                if is_writer():
                    stage.model.load_state_dict(without(whole))
            else:
                # Mixed precision wraps the model's forward; slices are copies of the plain model.
                trainer.accelerator.unwrap_model(trainer.model_wrapped, keep_fp32_wrapper=False)
            trainer.accelerator.free_memory()
            for kept in (cache, beside):
                if kept is not None:
                    kept.close()
            stage.model.zero_grad(set_to_none=True)
