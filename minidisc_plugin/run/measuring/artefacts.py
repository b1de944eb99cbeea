"""Artefacts held to their protocol: one that cannot be loaded, or answers amiss, is named before it is scored."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from minidisc_plugin.foundation.errors import PluginFailedError, RunDirectoryError
from minidisc_plugin.foundation.printable import shown
from minidisc_plugin.plugins.deferred import put_off
from minidisc_plugin.plugins.foreign import blamed, calling
from minidisc_plugin.plugins.process_state import kept_process_state
from minidisc_plugin.run.measuring.measure import bytes_on_disk

if TYPE_CHECKING:
    from minidisc_plugin.contracts.artefact import Artefact
    from minidisc_plugin.contracts.run import Run
    from minidisc_plugin.contracts.task import Task

logger = logging.getLogger(__name__)

Shapes = list[list[tuple[int, ...]]]
"""Of each batch, the shapes of its logits; most tasks have one tensor of them."""


class Loaded(nn.Module):
    """An artefact that is ready to be called, in whatever runtime; what it raises is said in its name.

    Args:
        made: What it was loaded from.

    Raises:
        PluginFailedError: a plug-in's artefact has no weights in its folder, or cannot be loaded.
    """

    def __init__(self, made: Artefact) -> None:
        super().__init__()
        self.made = made
        if made.owner is None:
            self._hold(made.load(made.folder))
            return
        try:
            bytes_on_disk(made.folder)
        except RunDirectoryError as error:
            raise self.error(str(error)) from error
        with calling(made.owner, f"artefact {made.label!r}, load,", PluginFailedError):
            model = made.load(made.folder)
            fault = put_off(model)
        if fault or not callable(model):
            raise self.error(f"load gave {fault or shown(model)}, which cannot be called with a batch")
        self._hold(model)

    def _hold(self, model: Any) -> None:
        """Keep what is called, as a part of this where it is a module: Optimum Intel's Whisper is one in name alone."""
        if isinstance(model, nn.Module) and "_modules" in vars(model):
            self.model = model
        else:
            object.__setattr__(self, "model", model)

    @property
    def device(self) -> torch.device:
        """Where it takes its inputs; other runtimes than torch take them from the CPU."""
        return next((parameter.device for parameter in self.parameters()), torch.device("cpu"))

    def forward(self, **inputs: Any) -> Any:
        """Its outputs by name, as it gives them."""
        if self.made.owner is None:
            return self.model(**inputs)
        try:  # nothing more than this: it is timed
            return self.model(**inputs)
        except (Exception, SystemExit, GeneratorExit) as error:
            doing = f"artefact {self.made.label!r}, a batch,"
            raise blamed(self.made.owner, doing, error, PluginFailedError) from error

    def error(self, what: str) -> PluginFailedError:
        """The error that it is not as it should be."""
        owner = "" if self.made.owner is None else f"plug-in {self.made.owner}: "
        return PluginFailedError(f"{owner}artefact {self.made.label!r}: {what}")


@contextmanager
def noted_shapes(model: nn.Module, task: Task) -> Iterator[Shapes]:
    """In the block, what shapes a model's logits have, batch by batch."""
    noted: Shapes = []
    handle = model.register_forward_hook(
        lambda _, __, inputs, output: noted.append([tuple(part.shape) for part in _parts(task.logits(output, inputs))]),
        with_kwargs=True,
    )
    try:
        yield noted
    finally:
        handle.remove()


@kept_process_state()
def metric_of(run: Run, loaded: Loaded, expected: Shapes) -> float:
    """The metric of an artefact on the reported split.

    Args:
        run: What it is part of.
        loaded: The artefact.
        expected: Of the student's logits, on the same batches.

    Raises:
        PluginFailedError: a plug-in's artefact gives something else than logits like the student's.
    """
    check = _Check(loaded, run.prepared.task, expected)
    handle = loaded.register_forward_hook(check, with_kwargs=True)
    try:
        scores = run.bench.scores_in_runtime(loaded, run.prepared.splits.report)
    finally:
        handle.remove()
    if check.not_numbers:
        owner = "" if loaded.made.owner is None else f"plug-in {loaded.made.owner}: "
        logger.warning(
            "%sartefact %r: its logits are NaN in %d of %d batches, so its metric says nothing",
            *(owner, loaded.made.label, check.not_numbers, check.batches),
        )
    return scores[run.bench.metric]


class _Check:
    """Looks at what an artefact answers to each batch, before it is scored."""

    def __init__(self, loaded: Loaded, task: Task, expected: Shapes) -> None:
        self._loaded = loaded
        self._task = task
        self._expected = expected
        self.batches = 0
        self.not_numbers = 0

    def __call__(self, _: nn.Module, __: Any, inputs: Mapping[str, Any], output: Any) -> None:
        parts = self._logits(output, inputs)
        shapes, wanted = [tuple(part.shape) for part in parts], self._expected[self.batches]
        if shapes != wanted:
            raise self._loaded.error(f"its logits have the shape {_said(shapes)}; the student's have {_said(wanted)}")
        self.batches += 1
        self.not_numbers += any(bool(part.isnan().any()) for part in parts)

    def _logits(self, output: Any, inputs: Mapping[str, Any]) -> list[torch.Tensor]:
        if late := put_off(output):
            raise self._loaded.error(f"a batch gives {late}")
        owner = self._loaded.made.owner
        looking = nullcontext() if owner is None else _in_its_name(self._loaded, output)
        with looking:
            parts = [torch.as_tensor(part) for part in _parts(self._task.logits(output, inputs))]
        for part in parts:
            if part.dtype == torch.bool or part.is_complex():
                raise self._loaded.error(f"its logits are {part.dtype}, and no real numbers")
        return parts


@contextmanager
def _in_its_name(loaded: Loaded, output: Any) -> Iterator[None]:
    try:
        yield
    except (Exception, SystemExit) as error:
        raise loaded.error(f"a batch gives {shown(output)}, which holds no logits by name") from error


def _parts(logits: Any) -> tuple[Any, ...]:
    return logits if isinstance(logits, tuple) else (logits,)


def _said(shapes: list[tuple[int, ...]]) -> str:
    return " and ".join(map(str, shapes))
