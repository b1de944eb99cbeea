"""A teacher's outputs for the training set, kept on disk where that saves more than it costs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from minidisc_plugin.foundation.processes import is_writer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from minidisc_plugin.schedulers.evaluator import Evaluator
    from minidisc_plugin.schedulers.journal import Journal
    from minidisc_plugin.schedulers.means import Training
    from minidisc_plugin.training.observing import Asked
    from minidisc_plugin.training.teacher_cache import TeacherCache
    from minidisc_plugin.training.teacher_examples import Examples
    from minidisc_plugin.training.teacher_store import TeacherStore


class TeacherOutputs:
    """The outputs of the teachers of one run.

    Args:
        training: How stages train: whether outputs are kept, and which of them the objective reads.
        evaluator: Has the training set and makes its batches.
        journal: Which stages read them.
    """

    def __init__(self, training: Training, evaluator: Evaluator, journal: Journal) -> None:
        self._args = training.args
        self._engine = training.engine
        self._objective = training.objective
        self._evaluator = evaluator
        self._journal = journal

    def bytes(self) -> int:
        """On disk, of the outputs of one teacher; 0 where they are not kept."""
        store, examples = self._store(), self._examples(self._evaluator.teacher, "batches")
        return 0 if examples is None else store.size(self._evaluator.teacher, examples, self._asked)

    def cache(
        self, teacher: PreTrainedModel, stage: str, goes_on: bool, *, beside: bool = False
    ) -> TeacherCache | None:
        """A teacher's outputs for a stage, or None where it is to run its teacher.

        A stage that goes on keeps to what its first steps did: kept outputs are not the teacher's to the last bit.

        Args:
            teacher: The model that the stage follows.
            stage: Its name.
            goes_on: Whether it goes on from a checkpoint.
            beside: Whether the stage follows another teacher as well, and wants no more than logits of this one.
        """
        name = f"{stage}-assistant" if beside else f"{stage}-teacher"
        had = self._journal.result(name).get("cached") if goes_on and self._journal.finished(name) else None
        examples = self._examples(teacher, stage) if had is not False else None
        if examples is None:
            return None
        with self._journal.stage(name) as result:
            cache = self._store().cache(
                teacher.to(self._args.device).eval(),
                examples,
                replace(self._asked, states=False, observer=None) if beside else self._asked,
                required=self._engine.teacher_cache is True or had is True,
                quiet=self._args.disable_tqdm or not is_writer(),
            )
            result["cached"] = cache is not None
        return cache

    def _store(self) -> TeacherStore:
        from minidisc_plugin.training.teacher_store import TeacherStore

        folder = Path(self._engine.teacher_cache_dir or self._journal.folder / "teachers")
        return TeacherStore(folder, self._engine.teacher_cache_gib * 2**30)

    def _examples(self, teacher: PreTrainedModel, stage: str) -> Examples | None:
        """The training set as a teacher is given it, where its outputs are to be kept."""
        from minidisc_plugin.training.teacher_examples import Examples
        from minidisc_plugin.training.teacher_store import reads_cache

        data = self._evaluator.data
        if self._objective.needs_attentions:
            return None
        dataset = data.pool.examples
        if not reads_cache(self._engine.teacher_cache, self._args, len(data.train), len(dataset)):
            return None
        trainer = self._evaluator.trainer(teacher, stage, dataset)
        columns = trainer._remove_unused_columns(dataset, "training")
        return Examples(columns, trainer.data_collator, self._args.per_device_eval_batch_size, self._evaluator.task)

    @property
    def _asked(self) -> Asked:
        """What is asked of a teacher."""
        from minidisc_plugin.training.observing import Asked

        objective = self._objective
        observer = objective if objective.observes else None
        return Asked(objective.needs_hidden_states, objective.compared_states, observer)
