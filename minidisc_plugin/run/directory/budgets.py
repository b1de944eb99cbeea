"""What a run keeps of its budget, and what it leaves where no student is within it: nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minidisc_plugin.contracts.budget import Budget
from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.output import LOCK_FILE, RECORD_FILE, RESOLVED_CONFIG
from minidisc_plugin.run.config.written import to_yaml
from minidisc_plugin.run.directory.installing import empty_folder, remove_tree
from minidisc_plugin.run.directory.record import deciding_settings, read_record, write_record

if TYPE_CHECKING:
    from minidisc_plugin.run.directory.folder import RunDirectory


def held_budget(directory: RunDirectory) -> Budget | None:
    """What the budget of the run that is here became; None where it has none, or that is open.

    Raises:
        RunDirectoryError: its record cannot be understood.
    """
    held = read_record(directory.root)
    return None if held is None else held.budget


def keep_budget(directory: RunDirectory, config: CompressionConfig, budget: Budget) -> None:
    """Record what a budget became, and the config with that sparsity.

    Args:
        directory: Opened.
        config: With every default, and the sparsity.
        budget: Its budget.
    """
    held = read_record(directory.root)
    settings = deciding_settings(config)
    if held is None or (held.budget, held.settings) == (budget, settings):
        return
    write_record(directory.root, held.model_copy(update={"budget": budget, "settings": settings}))
    if held.settings != settings:
        with directory.writing(RESOLVED_CONFIG) as file:
            file.write_text(to_yaml(config), encoding="utf-8")


def abandon(directory: RunDirectory) -> None:
    """Remove what a run has written that was begun just now, and cannot go on.

    Args:
        directory: Opened, and not by a run that goes on with an earlier one.
    """
    if directory.root == directory.place:
        empty_folder(directory.place, but=LOCK_FILE)
    else:
        remove_tree(directory.root, last=RECORD_FILE)
