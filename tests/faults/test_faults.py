"""A sample of each kind of fault; `make faults` tries them all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import shim
from tests.faults.cells import ROOT, Case, Ledger, Tried, Verdict, table

pytestmark = pytest.mark.skipif(shim.missing() is not None, reason=str(shim.missing()))


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> list[Tried]:
    """What came of the sample."""
    lines = tmp_path_factory.mktemp("faults") / "cases.jsonl"
    command = [sys.executable, "-m", "tests.faults", "--quick", "--lines", lines]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert lines.is_file(), ended.stdout[-3000:] + ended.stderr[-3000:]
    return list(Ledger(lines).tried.values())


@pytest.mark.timeout(1200)  # under a minute, where nothing else runs
@pytest.mark.parametrize("kind", ["kill", "ENOSPC", "EIO", "EROFS", "two", "damage"])
@pytest.mark.quick_on("inc")
def test_a_run_survives(kind: str, tried: list[Tried]) -> None:
    of_kind = [one for one in tried if one.key.split("/")[1].startswith(kind)]
    assert of_kind
    assert [f"{one.key} ({one.about}): {one.why}" for one in of_kind if one.result == "failed"] == []


def test_what_was_tried_is_not_tried_again(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "cases.jsonl")
    case = Case("small", "kill", "7", "write x", lambda: Verdict("failed", "other weights"))
    assert ledger.attempt(case).result == "failed"
    with ledger.file.open("a", encoding="utf-8") as file:
        file.write('{"key": "small/kill/8", "abo')  # cut off
    held = Ledger(ledger.file).tried
    assert list(held) == ["small/kill/7"]
    assert "small       kill                        1      0        0       1" in table(list(held.values()))
