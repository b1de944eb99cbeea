"""Third parties' steps and objectives at work: what they raise or return amiss is said in their name."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from minidisc_plugin.contracts.artefact import Artefact
from minidisc_plugin.contracts.objective import Objective
from minidisc_plugin.contracts.run import Run, Step
from minidisc_plugin.foundation.errors import PluginError, PluginFailedError
from minidisc_plugin.foundation.printable import shown
from minidisc_plugin.plugins.deferred import put_off
from minidisc_plugin.plugins.given import Given, tensors_of
from minidisc_plugin.plugins.kinds import READS, Registered
from minidisc_plugin.plugins.untouched import Untouched

if TYPE_CHECKING:
    from minidisc_plugin.contracts.config import CompressionConfig
    from minidisc_plugin.contracts.distillation import DistillationConfig


def make_step(registered: Registered[type[Step]]) -> Step:
    """A step of a run.

    Raises:
        PluginError: a plug-in's class makes none.
    """
    with registered.calling("made"):
        step: Any = registered.item()
    if not isinstance(step, Step):
        raise registered.error(f"made {shown(step)}, which is no Step")
    return step if registered.shipped else _GuardedStep(registered, step)


def make_objective(
    registered: Registered[type[Objective]], settings: DistillationConfig, *, regression: bool
) -> Objective:
    """The objective of a run.

    Raises:
        ConfigError: it does not know a setting.
        PluginError: a plug-in's class makes none.
    """
    with registered.calling("made"):
        objective: Any = registered.item(settings, regression=regression)
    if not isinstance(objective, Objective):
        raise registered.error(f"made {shown(objective)}, which is no Objective")
    return objective if registered.shipped else GuardedObjective(registered, objective, settings, regression)


class _GuardedStep(Step):
    def __init__(self, registered: Registered[type[Step]], step: Step) -> None:
        self._registered = registered
        self._step = step
        self.name = registered.name  # type: ignore[misc]
        self.writes = registered.item.writes  # type: ignore[misc]

    def check(self, config: CompressionConfig) -> None:
        """See Step."""
        with self._registered.calling("check"):
            check: Any = self._step.check
            fault = put_off(check(config))
        if fault:
            raise self._registered.error(f"check returned {fault}")

    def run(self, run: Run) -> None:
        """See Step."""
        before, artefacts = Untouched(run, self.writes), list(run.artefacts)
        with self._registered.calling("run", PluginFailedError):
            work: Any = self._step.run
            fault = put_off(work(run))
        if fault:
            raise self._registered.error(f"run returned {fault}", PluginFailedError)
        if fault := before.fault(run):
            raise self._registered.error(f"run {fault}", PluginFailedError)
        left: Any = run.artefacts
        if not isinstance(left, list) or left[: len(artefacts)] != artefacts or not all(map(_is_artefact, left)):
            raise self._registered.error(f"run left other artefacts than it found: {shown(left)}", PluginFailedError)
        twice = [label for label, count in Counter(made.label for made in left).items() if count > 1]
        if twice:
            raise self._registered.error(f"run left two artefacts called {shown(twice[0])}", PluginFailedError)
        with self._registered.calling("run", PluginFailedError):
            left[len(artefacts) :] = [replace(made, owner=self._registered.owner) for made in left[len(artefacts) :]]


def _is_artefact(made: Any) -> bool:
    """Whether the report can measure it."""
    return (
        isinstance(made, Artefact)
        and made.role in ("teacher", "student")
        and all(isinstance(text, str) for text in (made.runtime, made.engine))
        and isinstance(made.folder, Path)
        and callable(made.load)
    )


class GuardedObjective(Objective):
    """A third party's objective.

    Args:
        registered: Whose it is.
        objective: What computes the loss.
        settings: See Objective.
        regression: Likewise.
    """

    def __init__(
        self,
        registered: Registered[type[Objective]],
        objective: Objective,
        settings: DistillationConfig,
        regression: bool,
    ) -> None:
        self.settings, self.regression = settings, regression  # what the objective made of them is its own
        self._registered = registered
        self._objective = objective
        self.name = registered.name  # type: ignore[misc]
        with registered.calling("needs_hidden_states"):
            self.needs_hidden_states = bool(objective.needs_hidden_states)  # type: ignore[misc]
        with registered.calling("reads_labels"):
            self.reads_labels = bool(objective.reads_labels)
        with registered.calling("observes"):
            self.observes = tuple(objective.observes)  # type: ignore[misc]
        for name in ("needs_second_derivatives", "needs_attentions", *READS):
            with registered.calling(name):
                setattr(self, name, bool(getattr(objective, name)))

    def learns_beside(self) -> bool:
        """See Objective."""
        return self._objective.needs_our_loop()

    @property
    def epochs_before(self) -> float:
        """See Objective."""
        with self._registered.calling("epochs_before"):
            epochs: Any = self._objective.epochs_before
        if isinstance(epochs, bool) or not isinstance(epochs, (int, float)) or not 0 <= epochs < math.inf:
            raise self._registered.error(f"epochs_before is {shown(epochs)}, which is no number of epochs")
        return float(epochs)

    def make_network(self, student: Any, teacher: Any, examples: Any) -> torch.nn.Module | None:
        """See Objective."""
        with self._registered.calling("make_network"):
            network: Any = self._objective.make_network(student, teacher, examples)
        if network is not None and not isinstance(network, torch.nn.Module):
            raise self._registered.error(f"make_network gave {shown(network)}, which is no torch.nn.Module")
        return network

    def with_network(self, network: torch.nn.Module) -> GuardedObjective:
        """See Objective."""
        other = super().with_network(network)
        other._objective = self._objective.with_network(network)
        return other

    def observe(self, teacher: Any, output: Any, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See Objective."""
        with self._registered.calling("observe", PluginFailedError):
            found: Any = self._objective.observe(teacher, output, batch)
        if not isinstance(found, Mapping) or not all(isinstance(found.get(name), Tensor) for name in self.observes):
            wanted = ", ".join(self.observes)
            raise self._registered.error(f"observe gave no tensor for each of {wanted}", PluginFailedError)
        return {name: found[name].detach() for name in self.observes}

    def loss_before(self, student: Any, teacher: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """See Objective."""
        with self._registered.calling("loss_before", PluginFailedError):
            loss = self._objective.loss_before(student, teacher, batch)
        if fault := _fault_of(loss):
            raise self._registered.error(f"its loss before a stage is {fault}", PluginFailedError)
        return loss

    def compared_states(self, count: int) -> list[int]:
        """See Objective."""
        with self._registered.calling("compared_states", PluginFailedError):
            states = list(self._objective.compared_states(count))
        if not all(isinstance(state, int) and 0 <= state < count for state in states):
            raise self._registered.error(f"compared_states gave {shown(states)} of {count}", PluginFailedError)
        return states

    def __call__(self, student: Any, teacher: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """See Objective."""
        return self._loss(student, teacher, batch, PluginFailedError)

    def rehearse(self, student: Any, teacher: Any, batch: Mapping[str, Tensor]) -> None:
        """Ask for one loss before anything is trained, and look closer than there is time for later.

        Args:
            student: Output of a model whose weights want gradients.
            teacher: The same, without.
            batch: What both were given.

        Raises:
            PluginError: it cannot be trained by, or it writes into what it is given.
        """
        reached = [tensor for tensor in tensors_of(student) if tensor.requires_grad]
        loss = self._loss(student, teacher, batch, PluginError, copies=True)
        with self._registered.calling("a gradient"):
            found = torch.autograd.grad(loss, reached, allow_unused=True) if reached else ()
        if reached and all(gradient is None for gradient in found):
            raise self._registered.error("its loss depends on no weight of the student")

    def _loss(
        self, student: Any, teacher: Any, batch: Mapping[str, Tensor], failed: type[PluginError], copies: bool = False
    ) -> Tensor:
        given = Given(copies=copies, teacher=teacher, batch=batch)
        with self._registered.calling("a loss", failed):
            loss = self._objective(student, teacher, batch)
        if fault := _fault_of(loss):
            raise self._registered.error(f"its loss is {fault}", failed)
        if part := given.changed(teacher=teacher, batch=batch):
            what = {"teacher": "the teacher's outputs", "batch": "the batch"}[part]
            raise self._registered.error(f"it writes into {what}, which others read; work on a clone", failed)
        return loss


def _fault_of(loss: Any) -> str | None:
    """Why something cannot be trained by."""
    if late := put_off(loss):
        return late
    if not isinstance(loss, Tensor):
        return f"{shown(loss)}, which is no tensor"
    if loss.dim() or not loss.is_floating_point():
        return f"a tensor of shape {tuple(loss.shape)} and type {loss.dtype}, not one real number"
    if torch.is_grad_enabled() and not loss.requires_grad:
        return "a tensor without gradient, which depends on no weight of the student"
    return None
