"""Keep Neural Compressor's `nc_workspace/` out of the working directory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minidisc_plugin.foundation.atomic import TEMPORARY


@contextmanager
def workspace(beside: Path) -> Iterator[None]:
    """Give Neural Compressor a temporary workspace for the block; a user's own choice of one is kept.

    Its quantization writes histories there.

    Args:
        beside: A file or folder next to which the workspace is made.
    """
    from neural_compressor.config import default_workspace, options

    chosen = options.workspace
    with tempfile.TemporaryDirectory(prefix=f"{TEMPORARY}inc-", dir=beside.parent) as scratch:
        if chosen == default_workspace:
            options.workspace = scratch + os.sep
        try:
            yield
        finally:
            options.workspace = chosen
