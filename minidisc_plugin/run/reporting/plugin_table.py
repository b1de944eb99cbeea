"""`minidisc plugins`, printed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from minidisc_plugin.run.reporting.console import standard_output, text

if TYPE_CHECKING:
    from rich.console import Console

    from minidisc_plugin.plugins import FoundPlugin


def print_plugins(found: Sequence[FoundPlugin], console: Console | None = None) -> None:
    """Print every entry point with its schedulers and its distribution, or the error that kept it out."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for name in ("plug-in", "schedulers", "distribution", "error"):
        table.add_column(name, overflow="fold")
    for plugin in found:
        cells = (plugin.name, ", ".join(plugin.schedulers), plugin.distribution, plugin.error or "")
        table.add_row(*map(text, cells))  # an error may hold brackets, which are no markup
    (console or standard_output()).print(table)
