"""The evidence without its runs: pairs, intervals, the learning rate by validation, one cell at full length."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import evidence
from benchmarks.cells import Record, Source, Store
from benchmarks.evidence_cells import make_cells, variants
from benchmarks.evidence_tables import at_best_rate, markdown
from benchmarks.judge import judge, judged
from benchmarks.paired import difference
from benchmarks.tasks import Movies
from minidisc_plugin import CompressionConfig, compress
from minidisc_plugin.run.config.file import read_config
from tests.builders.tiny import make_config

SOURCE = Source(machine={}, versions={})


def a_record(variant: str, rate: float, seed: int, right: str, validation: float = 0.8, **settings: Any) -> Record:
    test = {"metric": right.count("1") / len(right), "log_loss": 0.5, "kl": 0.1, "right": right}
    said = {"teacher": "minilm", "task": "movies", "scale": 0.1, "variant": variant, "rate": rate, "seed": seed}
    return Record(
        name=f"{variant}/{rate}/{seed}",
        settings={**said, **settings},
        result={
            "seconds": 10.0 if variant == "direct" else 25.0,
            "judged": {"test": test, "validation": {"metric": validation}},
        },
        seconds=1.0,
        date="2026-01-02T03:04:05",
        source=SOURCE,
    )


def test_a_difference_is_paired_by_example() -> None:
    """Both sides are right about most examples; the pairs tell that one is better wherever they differ."""
    draw = np.random.default_rng(0)
    theirs = {("movies", seed): draw.random(1000) < 0.8 for seed in range(3)}
    mine = {pair: right | (draw.random(1000) < 0.1) for pair, right in theirs.items()}
    found = difference(mine, theirs)
    assert found is not None and found.pairs == 3
    expected = 100 * np.mean([mine[pair].mean() - theirs[pair].mean() for pair in theirs])
    assert found.mean == pytest.approx(expected)
    assert 0 < found.low < found.mean < found.high < 5, "unpaired, the standard error alone would be over a point"


def test_two_equal_sides_do_not_differ_and_strangers_are_not_compared() -> None:
    one = {("movies", 0): np.array([True, False, True])}
    found = difference(one, one)
    assert found is not None and (found.mean, found.low, found.high) == (0, 0, 0)
    assert difference(one, {("movies", 1): np.array([True, False, True])}) is None


def test_tasks_weigh_the_same_whatever_their_size() -> None:
    mine = {("small", 0): np.ones(10, bool), ("large", 0): np.zeros(1000, bool)}
    theirs = {pair: ~right for pair, right in mine.items()}
    found = difference(mine, theirs)
    assert found is not None and found.mean == 0


def test_the_rate_is_chosen_on_validation() -> None:
    slow = [a_record("direct", 2e-4, seed, "1111", validation=0.7) for seed in (0, 1)]
    quick = [a_record("direct", 6e-4, seed, "0000", validation=0.9) for seed in (0, 1)]
    begun = [a_record("direct", 1e-3, 0, "1111", validation=1.0)]
    assert at_best_rate([*slow, *quick, *begun]) == quick


def test_the_table_has_a_row_for_each_way() -> None:
    records = [a_record("direct", 2e-4, seed, "1100") for seed in (0, 1)]
    records += [a_record("minidisc, guide both", 2e-4, seed, "1110") for seed in (0, 1)]
    table = markdown(records)
    assert "**minilm, student of 0.1** (movies)" in table
    assert "| direct | 0.0002 | 2 | 0.500 | 0.500 | 0.100 | 1.0 |  |" in table
    assert "| minidisc, guide both | 0.0002 | 2 | 0.750 | 0.500 | 0.100 | 2.5 | +25.0 [" in table


def test_what_a_student_says_is_judged() -> None:
    logits = np.log(np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]]))
    found = judged(logits, np.log(np.array([[0.5, 0.5]] * 3)), np.array([0, 0, 1]))
    assert found["right"] == "100" and found["metric"] == pytest.approx(1 / 3)
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.4, 0.3]).mean())
    divergence = [0.5 * np.log(0.5 / a) + 0.5 * np.log(0.5 / b) for a, b in ((0.9, 0.1), (0.4, 0.6), (0.7, 0.3))]
    assert found["kl"] == pytest.approx(np.mean(divergence))


def test_a_run_is_judged_as_it_was_reported(run_files: Path, tmp_path: Path) -> None:
    data = make_config(run_files, output_dir=str(tmp_path / "out"), scheduler="direct", trainer="transformers")
    data["dataset"]["data_files"]["validation"] = data["dataset"]["data_files"]["test"]
    result = compress(CompressionConfig.model_validate(data))
    found = judge(tmp_path / "out")
    rows = {row.role: row.metric for row in result.results.rows}
    assert found["test"]["metric"] == pytest.approx(rows["student"])
    assert found["test"]["teacher"] == pytest.approx(rows["teacher"])
    assert len(found["test"]["right"]) == result.results.examples
    json.dumps(found)


def test_cells_are_configs(tmp_path: Path) -> None:
    task = Movies(tmp_path, 100, 3)
    cells = make_cells({"minilm": [task]}, [0.1, 0.05], [2e-4], [0, 1], 3)
    assert len({cell.name for cell in cells}) == len(cells) == 2 * len(variants(3)) * 2
    for cell in cells:
        file = tmp_path / "config.json"
        file.write_text(json.dumps(cell.settings["config"]), encoding="utf-8")
        config = read_config(str(file), cell.settings["overrides"])
        assert config.pruning.target_sparsity == pytest.approx(1 - cell.settings["scale"])
        assert config.training["learning_rate"] == cell.settings["rate"]


def test_what_there_is_can_be_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evidence.main(["--work", str(tmp_path), "--list", "--teachers", "minilm", "--seeds", "0"]) == 0
    assert "missing  minilm/movies/0.1/direct/0.0002/0" in capsys.readouterr().out
    assert evidence.main(["--work", str(tmp_path), "--only", "nothing"]) == 2
    Store(tmp_path).folder.mkdir(parents=True)
    assert evidence.main(["--work", str(tmp_path), "--report"]) == 0
