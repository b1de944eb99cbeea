"""The output directory of a run: who may write into it, where each thing lives, and what was written by whom."""

from minidisc_plugin.run_directory.directory import (
    CHECKPOINTS,
    FILES,
    REPLACEMENT,
    RESOLVED_CONFIG,
    RunDirectory,
    is_reserved,
)

__all__ = ["CHECKPOINTS", "FILES", "REPLACEMENT", "RESOLVED_CONFIG", "RunDirectory", "is_reserved"]
