"""The reference is what the code says now, and it leaves nothing out."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from minidisc_plugin.cli import make_parser
from minidisc_plugin.cli.reference import reference
from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.output import FILES
from minidisc_plugin.plugins import host
from tests.plugins.test_plugins import BUILT_IN

FILE = Path(__file__).resolve().parents[2] / "docs" / "reference.md"


def test_the_reference_is_not_stale() -> None:
    remedy = "run: python -m minidisc_plugin.cli.reference > docs/reference.md"
    assert FILE.read_text(encoding="utf-8") == reference(), remedy


@pytest.mark.parametrize("columns", ["40", "300"])
def test_it_does_not_depend_on_the_terminal(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = reference()
    monkeypatch.setenv("COLUMNS", columns)
    assert reference() == before


def test_it_names_every_key_scheduler_command_and_file() -> None:
    text = reference()
    for name, field in CompressionConfig.model_fields.items():
        assert f"| `{name}` |" in text
        for key in getattr(field.annotation, "model_fields", {}):
            assert f"| `{name}.{key}` |" in text
    for name in BUILT_IN:
        assert f"\n### {name}\n" in text
        for key, field in host().schedulers()[name].model_fields.items():
            listed = f"| `scheduler_config.{field.alias or key}` |" in text
            assert listed == (key != "target_sparsity")
    commands = [action for action in make_parser()._actions if isinstance(action, argparse._SubParsersAction)]
    for command in commands[0].choices:
        assert f"\nusage: minidisc {command} [-h]" in text
    for file in FILES:
        assert f"| `{file}` |" in text


def test_every_row_says_what_its_key_means() -> None:
    rows = [line.split(" | ") for line in reference().splitlines() if line.startswith("| `") and line.count(" | ") == 3]
    assert len(rows) > 30
    for row in rows:
        assert row[-1].removesuffix(" |").endswith("."), row
