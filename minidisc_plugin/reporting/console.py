"""Where the commands print their tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_PIPED_WIDTH = 120


def standard_output() -> Console:
    """Standard output; a pipe or a file counts as at least 120 columns wide, so that tables are not folded."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, _PIPED_WIDTH)
    return console
