"""A model in the runtime that will serve it: what a step makes and the report measures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Artefact:
    """A teacher or student outside of training.

    Attributes:
        role: Of the model that it was made from: "teacher" or "student".
        runtime: What runs it and in which precision, such as "OpenVINO int8".
        engine: What runs it; artefacts of one engine are timed against each other.
        folder: Where it lies; the loader's argument.
        load: Gives what is called with a batch by name and returns its outputs by name.
        owner: The plug-in whose step made it; the run fills it in.
        max_loss: How much of its range the metric may lose, compared with the model in torch, before the report says
            so; None where nothing is said.
    """

    role: str
    runtime: str
    engine: str
    folder: Path
    load: Callable[[Path], Any] = field(compare=False)
    owner: str | None = field(default=None, compare=False)
    max_loss: float | None = field(default=None, compare=False)

    @property
    def label(self) -> str:
        """What it is called in messages."""
        return f"{self.role}, {self.runtime}"
