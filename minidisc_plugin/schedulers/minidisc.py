"""`scheduler: minidisc`: all candidates share one network and one training; the best one by a rule wins."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field, ValidationInfo, field_validator

from minidisc_plugin.contracts.hookspecs import hookimpl
from minidisc_plugin.contracts.rules import Rule
from minidisc_plugin.contracts.scheduler import PlannedStage, Schedule, Scheduler
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.schedulers.candidates import candidate_scales, conclude
from minidisc_plugin.schedulers.choosing import settle
from minidisc_plugin.selection import TEACHER, Criterion
from minidisc_plugin.training.scale_sampler import ScaleSampler

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from minidisc_plugin.contracts.records import Candidate
    from minidisc_plugin.contracts.workbench import NestedNetwork, Workbench


class MiniDisc(Scheduler):
    """Choose the teacher assistant in one trial (arXiv 2205.14570, section 3).

    The candidates and the student are slices of one network, trained together against the teacher. The assistant
    is the candidate with the largest `metric + lambda * (1 - scale)`, or the best by another `rule`; the student starts
    from its slice.
    """

    name = "minidisc"

    rule: Rule = Field(
        "lambda",
        description="By what the assistant is chosen: `lambda`, the largest metric + lambda * (1 - scale), as "
        "published; `log_loss`, the lowest loss on labels; or `gap`, the lowest loss and divergence of the student's "
        "slice together. All on the selection split.",
    )
    lam: float = Field(0.2, alias="lambda", ge=0, description="Weight of sparsity against the metric in `lambda`.")
    gap_weight: float = Field(1.0, ge=0, description="Weight of the divergence against the loss in `gap`.")
    candidates: list[float] | None = Field(
        None, description="Scales to try. Default: tenths from 0.7 down, strictly above the student's scale."
    )
    include_teacher: bool = Field(
        False,
        description="The teacher takes part in the choice, at scale 1. Where it wins there is no assistant, and the "
        "student is the one of `scheduler: direct`.",
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
        "the worse half those whose tradeoff is below the best by more than 1 / sqrt(selection examples). With "
        "`rule: lambda` only.",
    )
    random_candidates: int = Field(1, ge=1, description="How many at random, unless `sampling` is `all`.")

    @field_validator("lam", "gap_weight")
    @classmethod
    def _of_the_rule(cls, value: float, info: ValidationInfo) -> float:
        rule, needed = info.data.get("rule"), "gap" if info.field_name == "gap_weight" else "lambda"
        if rule not in (None, needed) and value != cls.model_fields[str(info.field_name)].default:
            raise ValueError(f"it does nothing with rule: {rule}; leave it out, or set rule: {needed}")
        return value

    @property
    def _halves(self) -> bool:
        return self.halving and self.rule == "lambda"

    @property
    def criterion(self) -> Criterion:
        """How candidates are compared."""
        return Criterion(self.rule, self.lam, self.gap_weight)

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
        return self.choose(bench, self.train(bench))

    def stages_each(self, students: Sequence[Scheduler]) -> list[PlannedStage]:
        """See Scheduler; one sandwich has the candidates and the students of all."""
        own = [stage.of(one.target_scale) for one in students for stage in one.stages() if stage.name != "sandwich"]
        return [PlannedStage("sandwich", 1.0, self._sampler(0, *_own_kind(students)).probabilities()), *own]

    def run_each(self, bench: Workbench, students: Sequence[Scheduler]) -> Callable[[Scheduler], Schedule]:
        """See Scheduler; the sandwich is trained once."""
        own = {one.target_scale: one for one in _own_kind(students)}
        trained = self.train(bench, list(own.values())[:-1])
        return lambda one: own[one.target_scale].choose(bench.of(one.target_scale), trained)

    def train(self, bench: Workbench, others: Sequence[MiniDisc] = ()) -> Trained:
        """One network for this student and for others: ranked, and trained in one sandwich.

        Args:
            bench: The means.
            others: Schedulers with the same settings, but for the student and the candidates.
        """
        from minidisc_plugin.schedulers.halving import Halving

        by_student = {one.target_scale: one.candidate_scales() for one in (self, *others)}
        scales = tuple(sorted(set().union(*by_student.values()), reverse=True))
        nested = bench.ranked_network()
        candidates = bench.specify(self.name, nested, (TEACHER, *scales) if self.include_teacher else scales)
        untrained = {target: nested.extract(target) for target in by_student} if self.include_teacher else {}
        nested.trim(scales[0])
        sampler = self._sampler(bench.args.seed, *others)
        halving = Halving(bench, nested, sampler, by_student, self.lam, self.assistants)
        bench.train(nested, sampler.scales, bench.teacher, "sandwich", sampler, [halving] if self._halves else [])
        halving.replay()  # where the stage was finished by an earlier process

        left = [one.model_copy(update={"dropped_after": halving.dropped.get(one.scale)}) for one in candidates]
        return Trained(nested, left, untrained, alone=not others)

    def choose(self, bench: Workbench, trained: Trained) -> Schedule:
        """The assistants of this student, by the rule.

        Args:
            bench: The means that `trained` was made with; those of this student where there are several.
            trained: Has this student and its candidates among its scales.
        """
        nested = trained.nested
        own = {TEACHER, *self.candidate_scales()}
        mine = [candidate for candidate in trained.candidates if candidate.scale in own]
        evaluated = bench.evaluate(nested, mine, self.name, student=self.target_scale)
        candidates = settle(evaluated, self.criterion, self.target_scale, self.assistants)
        chosen = [one.scale for one in candidates if one.selected and one.scale != TEACHER]
        if not chosen:
            student = trained.untrained[self.target_scale]
            return conclude(
                self, bench, candidates=candidates, assistants=[], student=student, criterion=self.criterion
            )

        assistants = [nested.extract(chosen[0])]
        if len(chosen) > 1 and not trained.alone:
            nested = copy.deepcopy(nested)  # further assistants train it, and others go on from what it was
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
            criterion=self.criterion,
        )

    def _sampler(self, seed: int, *others: MiniDisc) -> ScaleSampler:
        """Of the candidates and students of all."""
        scales = {scale for one in (self, *others) for scale in (*one.candidate_scales(), one.target_scale)}
        return ScaleSampler(sorted(scales, reverse=True), self.sampling, self.random_candidates, seed)


@dataclass(frozen=True)
class Trained:
    """What a sandwich made.

    Attributes:
        nested: The network; its scales are the candidates and the students.
        candidates: All that were trained, and the teacher where it takes part; not yet evaluated.
        untrained: By scale, the students as slices of the teacher, where it takes part.
        alone: Whether it has one student.
    """

    nested: NestedNetwork
    candidates: Sequence[Candidate]
    untrained: Mapping[float, PreTrainedModel]
    alone: bool


def _own_kind(students: Sequence[Scheduler]) -> list[MiniDisc]:
    return [one for one in students if isinstance(one, MiniDisc)]


@hookimpl
def minidisc_register_schedulers() -> Iterable[type[Scheduler]]:
    """Register this scheduler."""
    return [MiniDisc]
