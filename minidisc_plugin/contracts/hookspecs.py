"""Hook specifications; a plug-in marks its functions with `minidisc_plugin.hookimpl` and gives them these names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from minidisc_plugin.contracts.family import Family
    from minidisc_plugin.contracts.objective import Objective
    from minidisc_plugin.contracts.records import Candidate
    from minidisc_plugin.contracts.run import Step
    from minidisc_plugin.contracts.scheduler import Scheduler

PROJECT = "minidisc_plugin"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def minidisc_register_schedulers() -> Iterable[type[Scheduler]]:
    """Return scheduler classes; each one's `name` is what the key `scheduler` may hold."""


@hookspec
def minidisc_register_families() -> Iterable[Family]:
    """Return model families; each one's `model_type` is the architecture it makes sliceable."""


@hookspec
def minidisc_register_objectives() -> Iterable[type[Objective]]:
    """Return distillation objectives; each one's `name` is what `distillation.objective` may hold."""


@hookspec
def minidisc_register_steps() -> Iterable[type[Step]]:
    """Return pipeline steps; each one's `name` is what the list `steps` may hold."""


@hookspec
def minidisc_candidates_specified(scheduler: str, candidates: list[Candidate]) -> None:
    """Hear which candidates will be tried; none has a metric yet."""


@hookspec
def minidisc_candidate_evaluated(scheduler: str, candidate: Candidate) -> None:
    """Hear the metric of one candidate on the selection split."""


@hookspec
def minidisc_assistant_selected(scheduler: str, assistants: list[Candidate]) -> None:
    """Hear which assistants were chosen, from the largest scale to the smallest; none for a direct distillation."""


@hookspec
def minidisc_stage_finished(stage: str, seconds: float, output_dir: Path) -> None:
    """Hear that a stage ended, and how many seconds it took in all."""
