"""Metrics are tested off line: only what this package ships, or a folder of the test's own, may be loaded."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _off_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
