"""A tokenizer is saved as it was loaded, whatever it was called with meanwhile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from minidisc_plugin.foundation.model_files.processor_saving import save_processor
from minidisc_plugin.tasks.tokenizer import load_tokenizer
from tests.builders.tiny import make_bert, make_tokenizer

TRUNCATION = {"direction": "Right", "max_length": 9, "strategy": "LongestFirst", "stride": 0}
PADDING = {
    "strategy": {"Fixed": 12},
    "direction": "Right",
    "pad_to_multiple_of": None,
    "pad_id": 0,
    "pad_type_id": 0,
    "pad_token": "[PAD]",
}


@pytest.mark.parametrize(
    "own",
    [
        {"truncation": None, "padding": None},
        {"truncation": TRUNCATION, "padding": None},
        {"truncation": TRUNCATION, "padding": PADDING},
    ],
    ids=["neither", "cuts", "cuts and pads"],
)
@pytest.mark.parametrize("call", [{}, {"truncation": True, "max_length": 3, "padding": True}], ids=["warm", "cold"])
def test_a_call_leaves_no_mark(call: dict[str, Any], own: dict[str, Any], tmp_path: Path) -> None:
    make_tokenizer(tmp_path / "own")
    file = tmp_path / "own" / "tokenizer.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | own), encoding="utf-8")
    tokenizer = load_tokenizer(str(tmp_path / "own"), make_bert(), False)
    tokenizer(["good bad", "good"], **call)
    save_processor(tokenizer, tmp_path / "saved")
    saved = json.loads((tmp_path / "saved" / "tokenizer.json").read_text(encoding="utf-8"))
    assert {name: saved[name] for name in own} == own
