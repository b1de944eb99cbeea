"""The state of every random number generator, kept while something else uses them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def same_randomness() -> Iterator[None]:
    """After the block, chance goes on as if the block had not been: making a Trainer alone sows its seed anew."""
    python, arrays = random.getstate(), np.random.get_state()
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    # The process's own device, and not all that there are: what is not used need not be copied.
    own = accelerator is not None and accelerator.type != "mps"  # whose state torch cannot fork
    devices = [torch.accelerator.current_device_index()] if own else []
    try:
        with torch.random.fork_rng(devices, device_type="cuda" if accelerator is None else accelerator.type):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(arrays)
