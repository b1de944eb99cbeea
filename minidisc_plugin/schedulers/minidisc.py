"""`scheduler: minidisc`: all candidates share one network and one training; the best tradeoff wins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from minidisc_plugin.contracts.hookspecs import hookimpl
from minidisc_plugin.contracts.scheduler import PlannedStage, Schedule, Scheduler
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.schedulers.candidates import candidate_scales, conclude, judged, tradeoff_rule
from minidisc_plugin.selection import choose
from minidisc_plugin.training.scale_sampler import ScaleSampler

if TYPE_CHECKING:
    from minidisc_plugin.contracts.workbench import Workbench


class MiniDisc(Scheduler):
    """Choose the teacher assistant in one trial (arXiv 2205.14570, section 3).

    The candidates and the student are slices of one network, trained together against the teacher. The assistant
    is the candidate with the largest `metric + lambda * (1 - scale)`; the student starts from its slice.
    """

    name = "minidisc"

    lam: float = Field(0.2, alias="lambda", ge=0, description="Weight of sparsity against the metric.")
    candidates: list[float] | None = Field(
        None, description="Scales to try. Default: tenths from 0.7 down, strictly above the student's scale."
    )
    assistants: int = Field(1, ge=1, description="Assistants in a row, from the largest to the smallest.")
    sampling: Literal["all", "sandwich", "cost_aware"] = Field(
        "cost_aware",
        description="Scales trained each step: `all`, as published; `sandwich`, the largest, the smallest and some at "
        "random; or `cost_aware`, the smallest and some of all others, cheap ones oftener. Losses are weighted so that "
        "each step follows the mean of all scales, in expectation.",
    )
    halving: bool = Field(
        True,
        description="Train candidates no longer that fall behind: after each epoch but the last (three at most), of "
        "the worse half those whose tradeoff is below the best by more than 1 / sqrt(selection examples).",
    )
    random_candidates: int = Field(1, ge=1, description="How many at random, unless `sampling` is `all`.")

    def candidate_scales(self) -> tuple[float, ...]:
        """See Scheduler."""
        scales = candidate_scales(self.candidates, self.target_scale)
        if self.assistants > len(scales):
            raise ConfigError(
                f"scheduler_config.assistants: {self.assistants} of {len(scales)} candidates; add candidates"
            )
        return scales

    def stages(self) -> list[PlannedStage]:
        """See Scheduler; an assistant not chosen yet is priced as the largest candidate."""
        scales = self.candidate_scales()
        passes = self._sampler(0).probabilities()
        later = [
            PlannedStage(f"assistant-{number}", scales[number - 2], {scales[number - 1]: 1.0, self.target_scale: 1.0})
            for number in range(2, self.assistants + 1)
        ]
        return [
            PlannedStage("sandwich", 1.0, passes),
            *later,
            PlannedStage("student", scales[self.assistants - 1], {self.target_scale: 1.0}),
        ]

    def run(self, bench: Workbench) -> Schedule:
        """See Scheduler."""
        from minidisc_plugin.schedulers.halving import Halving

        scales = self.candidate_scales()
        nested = bench.ranked_network()
        candidates = bench.specify(self.name, nested, scales)
        nested.trim(scales[0])
        sampler = self._sampler(bench.args.seed)
        halving = Halving(bench, nested, sampler, scales, self.lam, self.assistants)
        bench.train(nested, sampler.scales, bench.teacher, "sandwich", sampler, [halving] if self.halving else [])
        halving.replay()  # where the stage was finished by an earlier process

        candidates = [
            candidate.model_copy(update={"dropped_after": halving.dropped.get(candidate.scale)})
            for candidate in bench.evaluate(nested, candidates, self.name)
        ]
        metrics = {
            candidate.scale: candidate.metric
            for candidate in candidates
            if candidate.metric is not None and candidate.dropped_after is None
        }
        chosen = choose(metrics, self.lam, self.target_scale, self.assistants)
        candidates = [judged(candidate, self.lam, chosen) for candidate in candidates]

        assistants = [nested.extract(chosen[0])]
        for number, scale in enumerate(chosen[1:], start=2):
            nested.trim(scale)
            bench.train(nested, [scale, self.target_scale], assistants[-1], f"assistant-{number}")
            assistants.append(nested.extract(scale))
        return conclude(
            self,
            bench,
            candidates=candidates,
            assistants=assistants,
            student=nested.extract(self.target_scale),
            rule=tradeoff_rule(bench.metric, self.lam),
            lam=self.lam,
        )

    def _sampler(self, seed: int) -> ScaleSampler:
        scales = [*self.candidate_scales(), self.target_scale]
        return ScaleSampler(scales, self.sampling, self.random_candidates, seed)


@hookimpl
def minidisc_register_schedulers() -> Iterable[type[Scheduler]]:
    """Register this scheduler."""
    return [MiniDisc]
