"""Where several processes train on CPUs, Trainer loads a checkpoint to a device "cpu:1", which torch does not know."""

from __future__ import annotations

import re
from typing import Any

import torch

_NUMBERED = re.compile(r"cpu:\d+")
_LAST = 90  # whatever torch knows comes first


def _leave_in_memory(storage: Any, location: str) -> Any:
    return storage if _NUMBERED.fullmatch(location) else None


def load_to_numbered_cpus() -> None:
    """Have `torch.load` take the number of a CPU for the CPU; once is enough."""
    registered = torch.serialization._package_registry
    if not any(load is _leave_in_memory for _, _, load in registered):
        torch.serialization.register_package(_LAST, lambda storage: None, _leave_in_memory)
