"""The example of sentence embeddings, on a tiny teacher and a few sentences."""

from __future__ import annotations

import csv
import importlib.util
import random
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from minidisc_plugin.cli import main
from tests.builders.tiny import BAD, GOOD, OTHER, make_tokenizer
from tests.tasks.making import SHAPE, make_model, write_sentence_files

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "embeddings"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"embeddings_{name}", EXAMPLE / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write(path: Path, rows: list[list[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(rows)


def test_the_example_runs_and_searches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    chosen = random.Random(0)
    texts = [" ".join(chosen.choices([*GOOD, *BAD, *OTHER[:20]], k=5)) for _ in range(120)]
    data, teacher = Path("runs/embeddings-data"), Path("runs/embeddings-teacher")
    write(data / "sentences.csv", [["text"], *([text] for text in texts)])
    write(data / "pairs.csv", [["one", "other", "score"], *([texts[row], texts[row + 1], row / 9] for row in range(9))])
    teacher.mkdir()
    make_tokenizer(teacher)
    make_model("embeddings").save_pretrained(teacher)
    write_sentence_files(teacher, SHAPE["hidden_size"])
    quickly = ["--set", "steps=[]"]
    arguments = [*quickly, "--set", "training.num_train_epochs=1", "--set", "training.max_steps=4"]
    assert main(["run", str(EXAMPLE / "compression.yaml"), *arguments]) == 0
    capsys.readouterr()
    search = script("search")
    for folder in (teacher, Path("runs/embeddings/student")):
        search.search(folder, texts, texts[7], nearest=2)
        said = capsys.readouterr().out
        assert str(folder) in said and f"  1.00  {texts[7]}" in said and len(said.split("\n")) == 5


def test_scores_of_people_become_pairs() -> None:
    found = script("prepare").scored_pairs("first\nsecond\nthird\n", "1\t0.2\t0.3\n0\t1\t0.5\n0\t0\t1\n")
    assert found == [["first", "second", 0.2], ["first", "third", 0.3], ["second", "third", 0.5]]
