"""This process, and others of the same run (`torchrun`, `accelerate launch`): one writes, the others wait for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from minidisc_plugin.foundation.errors import ConfigError, MinidiscError
from minidisc_plugin.foundation.printable import shown

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")

_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "WORLD_SIZE")
_REMEDY = "start with torchrun or accelerate launch"


def is_writer() -> bool:
    """Whether this process is the one that writes files and prints.

    Raises:
        ConfigError: see process_index.
    """
    return process_index() == 0


def wait_for_all() -> None:
    """Go on once every process has come here; TrainingArguments, which join the processes, have to be made before."""
    from accelerate import PartialState

    PartialState().wait_for_everyone()


def process_count() -> int:
    """How many processes the launcher started.

    Raises:
        ConfigError: a launcher's variable is not a whole number.
    """
    return _number("WORLD_SIZE", 1) if _is_launched() else 1


def process_index() -> int:
    """Which of them this is, from 0.

    Raises:
        ConfigError: a launcher's variable is not a whole number.
    """
    return _number("RANK", 0) if _is_launched() else 0


def check_alone(*, on_cpu: bool) -> None:
    """Refuse variables by which accelerate, on a CPU, would wait for processes that no launcher of ours started.

    Args:
        on_cpu: Whether accelerate is told to use the CPU.

    Raises:
        ConfigError: names the variable.
    """
    if _is_launched() or not on_cpu:
        return
    # The first that is set decides, as in accelerate.
    name = next((name for name in _SIZES if name in os.environ), None)
    if name is not None and _number(name, 1) > 1:
        raise ConfigError(
            f"{name}: {shown(os.environ[name])} in the environment, and no LOCAL_RANK: {_REMEDY}, or unset {name} to "
            "run in one process"
        )


def check_joined(index: int, count: int) -> None:
    """Refuse a run whose processes training counts otherwise than we do: several would write, or none.

    Args:
        index: Of this process, as training has it.
        count: Of all processes, likewise.

    Raises:
        ConfigError: names both.
    """
    if (index, count) != (process_index(), process_count()):
        raise ConfigError(
            f"WORLD_SIZE: training joined as process {index} of {count}, and the environment says {process_index()} of "
            f"{process_count()}; {_REMEDY}, with training.use_cpu: true where there is no accelerator"
        )


def _is_launched() -> bool:
    """Whether a launcher started this process; pods set RANK and WORLD_SIZE too, and accelerate goes by LOCAL_RANK."""
    return _number("LOCAL_RANK", -1) != -1


def _number(name: str, otherwise: int) -> int:
    text = os.environ.get(name)
    if text is None:
        return otherwise
    try:
        return int(text)
    except ValueError:
        raise ConfigError(f"{name}: {shown(text)} in the environment is not a whole number; {_REMEDY}") from None


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
