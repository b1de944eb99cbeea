"""Tests of the hosts run where the hosts can: on the Intel stack."""

from __future__ import annotations

from pathlib import Path

import pytest

from minidisc_plugin.integrations.hosts import available
from tests.builders.tiny import make_run_files

if not available("host", "inc"):
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def regression_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As run_files, for a regression."""
    folder = tmp_path_factory.mktemp("regression_files")
    make_run_files(folder, regression=True)
    return folder
