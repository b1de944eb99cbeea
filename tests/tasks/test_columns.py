"""Columns may be called as features are, or as columns of ours: what is read of them stays the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from minidisc_plugin.contracts.dataset import DatasetConfig
from minidisc_plugin.tasks.registry import TASKS
from tests.builders.tiny import make_bert, make_rows, make_tokenizer
from tests.tasks import making
from tests.tasks.test_further import KINDS, LONG, WITHOUT_LABELS

NAMES = ["labels", "input_ids", "attention_mask", "token_type_ids", "label", "idx", "teacher_row", "minidisc labels"]
NAMES += ["text 0", "text 1", "words", "tags", "start", "example", "source", "target"]


def examples(task: str, pairs: bool) -> tuple[list[dict[str, Any]], list[str], str, Any]:
    """Rows, their columns of text and of labels, and the config of a model."""
    if task in KINDS:
        columns = making.COLUMNS[task]
        text = [columns["text"]] if isinstance(columns["text"], str) else list(columns["text"])
        return making.make_rows(task, 8, 1), text, columns.get("label", "label"), making.make_model(KINDS[task]).config
    rows = [{**row, "other": row["sentence"][::-1]} for row in make_rows(8, 1)]
    return rows, ["sentence", "other"] if pairs else ["sentence"], "label", make_bert().config


@pytest.mark.parametrize(
    ("task", "pairs"),
    [("text-classification", False), ("text-classification", True), *((task, False) for task in KINDS)],
)
def test_columns_called_as_features_are(task: str, pairs: bool, tmp_path: Path) -> None:
    rows, text, label, config = examples(task, pairs)
    tokenizer, made = make_tokenizer(tmp_path), TASKS[task]()

    def features(names: dict[str, str]) -> list[list[dict[str, Any]]]:
        split = Dataset.from_list([{names.get(name, name): value for name, value in row.items()} for row in rows])
        columns = DatasetConfig(
            path="json", text=[names.get(name, name) for name in text], label=names.get(label, label)
        )
        found = [made.check(split, "train", columns, config)]
        if task not in KINDS or task in WITHOUT_LABELS:
            found.append(made.unlabelled(split, "more", columns, config))
        parts = [made.features(part, tokenizer, LONG) for part in [*found, made.altered(found[0], lambda text: text)]]
        odd = {"example"}  # counts on from split to split
        return [part.remove_columns(list(odd & set(part.column_names))).to_list() for part in parts]

    expected = features({})
    read = list(dict.fromkeys([*text, *([label] if label in rows[0] else [])]))
    for place in range(len(NAMES)):
        names = {name: NAMES[(place + step) % len(NAMES)] for step, name in enumerate(read)}
        assert features(names) == expected, names
