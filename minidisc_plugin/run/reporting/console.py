"""Where the commands print their tables, and in which form text from elsewhere gets there."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from minidisc_plugin.foundation.printable import printable
from minidisc_plugin.foundation.redaction import masked

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_PIPED_WIDTH = 120


def standard_output() -> Console:
    """Standard output; a pipe or a file counts as at least 120 columns wide, so that tables are not folded."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, _PIPED_WIDTH)
    return console


def text(content: str, style: str = "") -> Text:
    """A cell or a line: no markup, and nothing that a terminal acts on; it may have several lines."""
    from rich.text import Text

    return Text("\n".join(map(printable, content.split("\n"))), style=style)


class SafeFormatter(logging.Formatter):
    """Lines of a log, printable and without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """As logging.Formatter."""
        return "\n".join(map(printable, masked(super().format(record)).split("\n")))
