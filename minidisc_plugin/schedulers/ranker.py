"""The teacher's copy as a nested network, ranked by importance on the selection split, once a run."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from minidisc_plugin.foundation.atomic import atomic_path
from minidisc_plugin.foundation.processes import is_writer
from minidisc_plugin.nested.ranking import Ranking

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from minidisc_plugin.nested.model import NestedModel
    from minidisc_plugin.schedulers.evaluator import Evaluator
    from minidisc_plugin.schedulers.journal import Journal

logger = logging.getLogger(__name__)


class Ranker:
    """Makes ranked networks of one run; the ranking is kept in `ranking.safetensors`.

    Args:
        network: Makes a nested network over a model, which it takes over.
        evaluator: Has the teacher and the selection split.
        journal: Whether the ranking is there.
    """

    def __init__(
        self, network: Callable[[PreTrainedModel], NestedModel], evaluator: Evaluator, journal: Journal
    ) -> None:
        self.network = network
        self._evaluator = evaluator
        self._journal = journal

    def ranked_network(self) -> NestedModel:
        """A new nested network over a copy of the teacher, ranked."""
        from safetensors.torch import load_file, save_file

        nested = self.network(copy.deepcopy(self._evaluator.teacher))
        file: Path = self._journal.folder / "ranking.safetensors"
        if self._journal.finished("importance"):
            self._journal.verify("importance")
            nested.apply_ranking(Ranking.from_tensors(load_file(file)))
            return nested
        logger.info("importance of heads and neurons on %d examples", len(self._evaluator.data.selection))
        with self._journal.stage("importance", files=[file]):
            ranking = self.rank(nested)
            if is_writer():
                file.parent.mkdir(parents=True, exist_ok=True)
                with atomic_path(file) as temporary:
                    save_file(
                        {name: value.clone().contiguous() for name, value in ranking.tensors().items()}, temporary
                    )
        return nested

    def rank(self, nested: NestedModel) -> Ranking:
        """Rank a network by importance on the selection split."""
        from tqdm.auto import tqdm

        args, task = self._evaluator.args, self._evaluator.task
        quiet = args.disable_tqdm or not is_writer()
        nested.model.to(args.device)
        # Activations are kept for the backward pass, as in training: batches of that size.
        loader = self._evaluator.batches(self._evaluator.data.selection, args.per_device_train_batch_size)
        batches = (task.ranked_by(batch) for batch in loader)
        return nested.rank(tqdm(batches, "importance", len(loader), disable=quiet, leave=False))
