"""This process, and others of the same run (`torchrun`, `accelerate launch`): one writes, the others wait for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from minidisc_plugin.foundation.errors import MinidiscError

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")


def is_writer() -> bool:
    """Whether this process is the one that writes files and prints."""
    return int(os.environ.get("RANK", "0")) == 0


def wait_for_all() -> None:
    """Go on once every process has come here; TrainingArguments, which join the processes, have to be made before."""
    from accelerate import PartialState

    PartialState().wait_for_everyone()


def process_count() -> int:
    """How many processes the launcher started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def process_index() -> int:
    """Which of them this is, from 0."""
    return int(os.environ.get("RANK", "0"))


def gathered(value: T) -> list[T]:
    """What each process gives, in the order of processes; every one has to ask for it."""
    from torch import distributed

    if not (distributed.is_available() and distributed.is_initialized()):
        return [value]
    found: list[T] = [value] * distributed.get_world_size()
    distributed.all_gather_object(found, value)
    return found


@contextmanager
def all_or_none() -> Iterator[None]:
    """A block that every process goes through: what fails in one is raised in all, so none waits for one that left."""
    failed: Exception | None = None
    try:
        yield
    except Exception as error:
        failed = error
    told = None if failed is None else failed if isinstance(failed, MinidiscError) else MinidiscError(str(failed))
    others = [error for error in gathered(told) if error is not None]
    if failed is not None:
        raise failed
    if others:
        raise others[0]


def mean_over_processes(value: Tensor) -> Tensor:
    """The mean of a number that each process has one of; every process has to ask for it.

    Gradients are averaged over processes. A sum divided by the mean of the counts becomes the mean over all.
    """
    from torch import distributed

    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return value
    total = value.detach().clone()
    distributed.all_reduce(total)
    return total / distributed.get_world_size()
