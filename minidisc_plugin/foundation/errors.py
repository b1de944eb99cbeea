"""Every error that this package raises on purpose; a message names the key, the value and the remedy."""

from __future__ import annotations

from typing import ClassVar

from minidisc_plugin.foundation.printable import one_line
from minidisc_plugin.foundation.redaction import masked


class MinidiscError(Exception):
    """Base of all errors raised by this package; its message is one line, printable, without secrets.

    Attributes:
        exit_status: Of the command line, which prints the message and nothing more.
    """

    exit_status: ClassVar[int] = 2

    def __init__(self, *args: object) -> None:
        super().__init__(*(one_line(masked(text)) if isinstance(text, str) else text for text in args))


class ConfigError(MinidiscError):
    """The compression config, or an argument that stands for a key of it, cannot be used."""


class DataError(MinidiscError):
    """The dataset does not fit the config or the model."""


class MetricError(MinidiscError):
    """A metric is unknown, or its values cannot be brought to [0, 1]."""


class UnsupportedModelError(MinidiscError):
    """No family knows where the attention heads and feed-forward neurons of this model live."""


class PluginError(MinidiscError):
    """A plug-in is broken, missing, or claims a name that another one has."""


class PluginFailedError(PluginError):
    """A plug-in failed in the middle of a run."""

    exit_status = 1


class RunDirectoryError(MinidiscError):
    """The output directory holds another run, or not the run that was asked for."""


class NonFiniteLossError(MinidiscError):
    """Training met a loss that is NaN or infinite; checkpoints written before it are kept."""

    exit_status = 1


class StorageError(MinidiscError):
    """A file cannot be written or read: the disk is full or read-only, a name is too long ... (see `storage`).

    Args:
        said: The path and the cause.
        remedy: What helps, where the file is.
        elsewhere: Another folder would help too.
    """

    def __init__(self, said: str, remedy: str = "", *, elsewhere: bool = False) -> None:
        super().__init__(said, remedy)
        self.elsewhere = elsewhere

    def __str__(self) -> str:
        said, remedy = self.args
        return "; ".join(part for part in (said, ", ".join(filter(None, [remedy, self._alternative()]))) if part)

    def _alternative(self) -> str:
        return "or give another folder" if self.elsewhere else ""


class StorageFailedError(StorageError):
    """A disk refused in the middle of a run; what the run wrote is whole, and resuming the run goes on with it."""

    exit_status = 1

    def _alternative(self) -> str:
        return "then go on with --resume (resume=True)"


class HostError(MinidiscError, ImportError):
    """A host (Optimum Intel, Neural Compressor, OpenVINO) is missing, or of a version that cannot work."""


class ExportError(MinidiscError):
    """A model that was written for another runtime is not what it was made from; what was trained is kept."""

    exit_status = 1
