"""A data file is known by its content: one that changed is read again, whatever its time of change says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from minidisc_plugin.run.data.reading import read_dataset
from tests.run.data.test_reading import section


@pytest.mark.parametrize(("name", "path"), [("a.csv", "csv"), ("a.jsonl", "json"), ("a.txt", "text")])
def test_content_decides_and_not_the_time_of_change(name: str, path: str, tmp_path: Path) -> None:
    lines = {"a.csv": "text,label\na,{}\n", "a.jsonl": '{{"text": "a", "label": "{}"}}\n', "a.txt": "a {}\n"}
    seen = []
    for label in ("0", "1", "10"):
        (tmp_path / name).write_text(lines[name].format(label))
        os.utime(tmp_path / name, (1_600_000_000, 1_600_000_000))
        seen.append(str(read_dataset(section(path, {"train": str(tmp_path / name)}))[0]["train"].to_list()))
    assert len(set(seen)) == 3
