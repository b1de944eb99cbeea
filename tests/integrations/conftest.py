"""Tests of the hosts run where the hosts can: most on the Intel stack, some with the newest releases."""

from __future__ import annotations

from pathlib import Path

import pytest

from minidisc_plugin.integrations.hosts import available
from tests.builders.tiny import make_run_files

# What they test says itself where it can run.
NEWER = ("test_inc3_",)

if not available("inc"):
    collect_ignore = [path.name for path in Path(__file__).parent.glob("test_*.py") if not path.name.startswith(NEWER)]


@pytest.fixture(scope="session")
def regression_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As run_files, for a regression."""
    folder = tmp_path_factory.mktemp("regression_files")
    make_run_files(folder, regression=True)
    return folder
