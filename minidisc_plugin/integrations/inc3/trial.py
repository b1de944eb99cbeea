"""What a schedule takes beside the teacher, as one object that Neural Compressor hands through."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Unpack

from minidisc_plugin.contracts.scheduler import ScriptInputs
from minidisc_plugin.contracts.validation import unknown_key
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.printable import shown

# Type checkers know them from ScriptInputs, where annotations are text that Python does not read.
REQUIRED = ("train_dataset", "args", "compute_metrics", "metric")


class Trial:
    """Data, training arguments and metric of the trials of one teacher or of several; it never changes.

    Neural Compressor's functions take no data. This goes with the call, `quantize(teacher, config, run_args=trial)`, or
    with the config, `MiniDiscConfig(0.9, data=trial)`, whose JSON does not hold it. What students of one teacher share
    is kept with it, and in `args.output_dir`, and gone with it.

    Args:
        **inputs: See ScriptInputs; `args` are copied.

    Attributes:
        inputs: As they were given.
        students: What was made with them; see `students_of`.
        announced: Configs that an `autotune` which has not begun yet will try, by their common settings.

    Raises:
        ConfigError: an input is missing, or is unknown.
    """

    inputs: Mapping[str, Any]
    students: dict[str, Any]
    announced: dict[str, list[Any]]

    def __init__(self, **inputs: Unpack[ScriptInputs]) -> None:
        given: dict[str, Any] = dict(inputs)
        known = sorted(ScriptInputs.__annotations__)
        for name in given:
            if name not in known:
                raise ConfigError(unknown_key(f"Trial.{name}", known))
        for name in REQUIRED:
            if given.get(name) is None:
                raise ConfigError(f"Trial.{name}: missing; candidates are trained and compared by it; add it")
        given["args"] = copy.copy(given["args"])
        vars(self).update(inputs=MappingProxyType(given), students={}, announced={})

    def __setattr__(self, name: str, value: object) -> None:
        raise ConfigError(f"Trial.{name}: {shown(value)} comes too late; make another Trial, its results are its own")

    def __deepcopy__(self, memo: dict[int, Any]) -> Trial:
        """Itself: Neural Compressor copies models and configs, and data is not for copying."""
        return self

    def __repr__(self) -> str:
        return f"Trial({', '.join(sorted(self.inputs))})"
