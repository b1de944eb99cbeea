"""What this package registers beside its schedulers, through the same hooks as anyone else."""

from __future__ import annotations

from collections.abc import Iterable

from minidisc_plugin.contracts.family import Family
from minidisc_plugin.contracts.hookspecs import hookimpl
from minidisc_plugin.contracts.objective import Objective
from minidisc_plugin.contracts.run import Step
from minidisc_plugin.nested.families import FAMILIES
from minidisc_plugin.objectives import AdKd, Codir, Embeddings, Hrkd, KnowledgeDistillation, MiniDiscObjective, Ted
from minidisc_plugin.run.steps.distil import Distil
from minidisc_plugin.run.steps.export import Export
from minidisc_plugin.run.steps.quantization import Quantization
from minidisc_plugin.run.steps.report import Report
from minidisc_plugin.run.steps.schedule import Schedule


@hookimpl
def minidisc_register_families() -> Iterable[Family]:
    """Register the families that ship with this package."""
    return FAMILIES


@hookimpl
def minidisc_register_objectives() -> Iterable[type[Objective]]:
    """Register the objectives that ship with this package."""
    return [MiniDiscObjective, KnowledgeDistillation, Ted, Codir, AdKd, Hrkd, Embeddings]


@hookimpl
def minidisc_register_steps() -> Iterable[type[Step]]:
    """Register the steps of the main pipeline, and those that a config may add."""
    return [Schedule, Distil, Export, Quantization, Report]
