"""Successive halving while the sandwich is trained: candidates that fall behind are trained no longer."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from minidisc_plugin.selection import losing, rungs, to_unit, tradeoff
from minidisc_plugin.training.randomness import same_randomness

if TYPE_CHECKING:
    from minidisc_plugin.contracts.workbench import NestedNetwork, Workbench
    from minidisc_plugin.training.scale_sampler import ScaleSampler

logger = logging.getLogger(__name__)

_PREFIX = "halving-"
_EVER = 1e9


class Halving(TrainerCallback):  # type: ignore[misc]
    """Compares candidates at the end of some epochs, and drops those that lose.

    What a comparison found is kept in the journal, so a resumed run drops the same.

    Args:
        bench: Evaluates.
        nested: The network of the candidates.
        sampler: Draws candidates, and the student's scale, which is none.
        candidates: By scale of a student, the scales that may be chosen for it. Only what none of the students needs is
            dropped: of candidates that several share those that lose for each of them, and no student.
        lam: Of the tradeoff.
        keep: How many candidates of a student have to be left.

    Attributes:
        dropped: By scale, the epoch after which a candidate was trained no longer.
    """

    def __init__(
        self,
        bench: Workbench,
        nested: NestedNetwork,
        sampler: ScaleSampler,
        candidates: Mapping[float, Sequence[float]],
        lam: float,
        keep: int,
    ) -> None:
        self.bench = bench
        self.nested = nested
        self.sampler = sampler
        self.candidates = candidates
        self.left = sorted(set().union(*candidates.values()), reverse=True)
        self.lam = lam
        self.keep = keep
        self.dropped: dict[float, int] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Halving:
        """Itself: its sampler is the trainer's."""
        return self

    def replay(self, epochs: float = _EVER) -> None:
        """Drop again what was dropped up to an epoch, as the journal has it."""
        for name in self.bench.journal.seconds:
            epoch = int(name.removeprefix(_PREFIX)) if name.startswith(_PREFIX) else math.inf
            if epoch <= epochs and epoch not in self.dropped.values():
                self._drop(int(epoch), self.bench.journal.result(name)["dropped"])

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take up a run that was cut off."""
        self.replay(state.epoch or 0)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Compare and drop; a training that stops within an epoch comes here, too, and has nothing to compare for."""
        epoch = round(state.epoch)
        compares = args.max_steps <= 0 and epoch == state.epoch and epoch in rungs(math.ceil(args.num_train_epochs))
        if not compares or len(self.left) <= self.keep:
            return
        name = f"{_PREFIX}{epoch}"
        if not self.bench.journal.finished(name):
            # A resumed run reads what was found; the training has to go on alike.
            with same_randomness(), self.bench.journal.stage(name) as result:
                raw = self.bench.metrics_of(self.nested, self.left, name)
                unit = to_unit(raw, self.bench.metric, self.bench.metric_range)
                tradeoffs = {
                    scale: tradeoff(metric, scale, self.lam)
                    for scale, metric in zip(self.left, unit, strict=True)
                    if math.isfinite(metric)
                }
                result["dropped"] = self._losing(tradeoffs)
                result["tradeoffs"] = {f"{scale:g}": round(value, 6) for scale, value in tradeoffs.items()}
        self._drop(epoch, self.bench.journal.result(name)["dropped"])

    def _losing(self, tradeoffs: Mapping[float, float]) -> list[float]:
        """Scales that are no student, and that lose for every student whose candidates they are."""
        examples = len(self.bench.selection_dataset)
        wanted = set(self.candidates)
        dropped: set[float] = set()
        for scales in self.candidates.values():
            own = {scale: value for scale, value in tradeoffs.items() if scale in scales}
            lost = losing(own, examples, self.keep) if own else []
            dropped.update(lost)
            wanted.update(own.keys() - set(lost))
        return [scale for scale in tradeoffs if scale in dropped - wanted]

    def _drop(self, epoch: int, scales: list[float]) -> None:
        if scales:
            logger.info("after epoch %d, candidates %s are trained no longer", epoch, scales)
        self.sampler.drop(scales)
        self.left = [scale for scale in self.left if scale not in scales]
        self.dropped |= dict.fromkeys(scales, epoch)
