"""The benchmark suite without its measurements: cells that resume, tables from records, data from GLUE's files."""

from __future__ import annotations

import csv
import io
import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from rich.console import Console

from benchmarks import gpu_check, speed
from benchmarks.cells import Cell, Failed, Record, Source, Store
from benchmarks.embeddings import Pairs, interval, spearman
from benchmarks.speed_cells import make_cells
from benchmarks.speed_tables import tables
from benchmarks.tasks import SPLITS, Movies, Mrpc, read_csv, write_csv
from minidisc_plugin.plugins.schedulers import make_scheduler
from minidisc_plugin.run.config.file import read_config
from tests.repository.apart import measured_apart

SOURCE = Source(
    machine={"processor": "some processor", "cores": 2, "threads": 1, "memory_gib": 4.0}, versions={"commit": "abc"}
)


class Counter:
    """Cells that count how often they are measured, and a store that keeps what it says."""

    def __init__(self, work: Path) -> None:
        self.measured: list[str] = []
        self.said: list[str] = []
        self.store = Store(work, self.said.append)

    def cell(self, name: str, error: Exception | None = None, **settings: Any) -> Cell:
        def measure(scratch: Path) -> dict[str, Any]:
            assert not list(scratch.iterdir())
            (scratch / "log.txt").write_text("text", encoding="utf-8")
            self.measured.append(name)
            if error:
                raise error
            return {"seconds": float(len(self.measured))}

        return Cell(name, settings, measure)

    def run(self, *cells: Cell, redo: tuple[str, ...] = ()) -> list[str]:
        return self.store.run(cells, lambda: SOURCE, redo)


def test_processes_side_by_side_measure_each_cell_once(tmp_path: Path) -> None:
    said: list[str] = []
    store = Store(tmp_path, said.append)
    cells = [Cell(f"run/{number}", {}, partial(measured_apart, number)) for number in range(4)]
    assert store.run(cells, lambda: SOURCE, processes=2) == ["run/2"]
    found = {name: record.result for name, record in store.records().items()}
    assert {name: result["number"] for name, result in found.items()} == {"run/0": 0, "run/1": 1, "run/3": 3}
    assert os.getpid() not in {result["process"] for result in found.values()}
    assert any("run/2: failed\n       no such thing" in line for line in said)


def test_a_cell_is_measured_once(tmp_path: Path) -> None:
    counter = Counter(tmp_path)
    first, second = counter.cell("run/a", task="a"), counter.cell("run/b")
    assert counter.run(first) == [] and counter.run(first, second) == []
    assert counter.measured == ["run/a", "run/b"]
    record = counter.store.read("run/a")
    assert record is not None and record.settings == {"task": "a"} and record.result == {"seconds": 1.0}
    assert record.source == SOURCE and record.seconds >= 0
    assert list(counter.store.records()) == ["run/a", "run/b"]
    assert [path.name for path in tmp_path.iterdir()] == ["cells"], "scratch folders are gone"


def test_a_pattern_measures_again(tmp_path: Path) -> None:
    counter = Counter(tmp_path)
    cells = [counter.cell("run/a"), counter.cell("step/a")]
    counter.run(*cells)
    counter.run(*cells, redo=("run/*",))
    assert counter.measured == ["run/a", "step/a", "run/a"]
    record = counter.store.read("run/a")
    assert record is not None and record.result == {"seconds": 3.0}


def test_other_settings_are_told(tmp_path: Path) -> None:
    counter = Counter(tmp_path)
    counter.run(counter.cell("run/a", examples=1))
    counter.run(counter.cell("run/a", examples=2))
    assert counter.measured == ["run/a"] and "other settings" in counter.said[-1]


def test_a_failure_leaves_the_others_and_its_log(tmp_path: Path) -> None:
    counter = Counter(tmp_path)
    lines = "\n".join(f"line {number}." for number in range(50))
    cells = [counter.cell("run/a", Failed(lines)), counter.cell("run/b", KeyError("key")), counter.cell("run/c")]
    assert counter.run(*cells) == ["run/a", "run/b"]
    assert counter.measured == ["run/a", "run/b", "run/c"]
    said = "\n".join(counter.said)
    assert "line 49." in said and "line 9." not in said and "KeyError: 'key'" in said
    assert (tmp_path / "scratch" / "run-a" / "log.txt").is_file()
    assert counter.run(counter.cell("run/a")) == [], "it is tried again"


def test_a_failure_keeps_the_record_of_before(tmp_path: Path) -> None:
    counter = Counter(tmp_path)
    counter.run(counter.cell("run/a"))
    assert counter.run(counter.cell("run/a", Failed("no")), redo=("*",)) == ["run/a"]
    assert counter.store.read("run/a") is not None


def test_a_damaged_record_is_missing(tmp_path: Path) -> None:
    counter = Counter(tmp_path)
    counter.run(counter.cell("run/a"))
    (tmp_path / "cells" / "run" / "a.json").write_text("{}", encoding="utf-8")
    assert counter.store.records() == {} and len(counter.store.missing([counter.cell("run/a")])) == 1


def a_record(name: str, **result: Any) -> Record:
    return Record(name=name, settings={}, result=result, seconds=1.0, date="2026-01-02T03:04:05", source=SOURCE)


def a_choice(name: str, scale: float, student: float) -> Record:
    candidates = [
        {"scale": one, "metric": 0.8 + one / 10, "tradeoff": 0.9, "selected": one == scale} for one in (0.5, 0.2)
    ]
    return a_record(
        name,
        metric="accuracy",
        split="test",
        examples=1000,
        assistants=[scale],
        candidates=candidates,
        models={"teacher": 0.9, "assistant": 0.85, "student": student},
    )


def shown(records: dict[str, Record], names: list[str]) -> dict[str, list[list[str]]]:
    """Cells of every table's rows, by its title."""
    found = {}
    for table in tables(records, names):
        text = io.StringIO()
        Console(file=text, width=300).print(table)
        columns = [list(map(str, column.cells)) for column in table.columns]
        assert str(table.title) in text.getvalue().replace(" \n", "\n")
        found[str(table.title)] = [list(row) for row in zip(*columns, strict=True)]
    return found


def test_tables() -> None:
    steps = {"threads": 1, "seconds": [1.0] * 4}
    made = [
        a_record("step/published", median=2.0, mean=3.0, before={}, **steps),
        a_record("step/mine", median=0.5, mean=0.5, before={"sandwich-teacher": 7.0}, **steps),
        a_record("run/mrpc/published", seconds=30.0, peak_mib=3000.0, stages={"sandwich": 30.0, "report": 9.0}),
        a_record("run/mrpc/minidisc", seconds=10.0, peak_mib=1500.0, stages={"sandwich": 8.0, "student": 2.0}),
        a_record(
            "run/mrpc/maxidisc", seconds=15.0, peak_mib=1.0, stages={"trial-0.5-student": 9.0, "trial-0.2-student": 6.0}
        ),
        a_record("run/mrpc/minidisc-16", seconds=12.0, peak_mib=1.0, stages={}),
        a_record("run/mrpc/minidisc-4", seconds=10.0, peak_mib=1.0, stages={}),
        a_record("memory/mrpc/fine-tuning", peak_mib=1000.0),
        a_choice("choice/mrpc/fast/0", 0.2, 0.81),
        a_choice("choice/mrpc/published/0", 0.5, 0.80),
        a_choice("choice/mrpc/fast/1", 0.2, 0.84),
        a_choice("choice/mrpc/published/1", 0.2, 0.80),
        a_choice("choice/mrpc/fast/2", 0.2, 0.84),
    ]
    found = shown({record.name: record for record in made}, ["step/published", "step/fast", "run/mrpc/direct"])
    step, run, ratio, memory, choice, candidates = found.values()
    assert step == [
        ["published", "2.000", "3.000", "1.00", "1.00", "4", "-"],
        ["fast", *["-"] * 6],
        ["mine", "0.500", "0.500", "4.00", "6.00", "4", "7.0"],
    ]
    assert [row[:2] for row in run][:3] == [["direct", "-"], ["published", "30.0"], ["minidisc", "10.0"]]
    assert "15.0" in run[3][2:], "trials are summed"
    assert ["published / minidisc", "3.00"] in ratio and ["minidisc / direct", "-"] in ratio
    assert ["maxidisc / minidisc", "1.50"] in ratio and ["minidisc: 16 / 4 candidates", "1.20"] in ratio
    assert ["minidisc", "1,500", "1.50"] in memory and ["direct", "-", "-"] in memory
    assert choice[0] == ["0", "0.900", "0.5", "0.850", "0.800", "0.2", "0.850", "0.810", "+1.0"]
    assert choice[2] == ["2", "0.900", "-", "-", "-", "0.2", "0.850", "0.840", "-"]
    assert choice[3] == ["mean", "-", "-", "0.850", "0.800", "-", "0.850", "0.830", "+2.5 ± 1.5"]
    assert candidates == [
        ["0.5", "0.850", "1 of 2", "0.850", "0 of 3"],
        ["0.2", "0.820", "1 of 2", "0.820", "3 of 3"],
    ]


def make_glue(folder: Path) -> Path:
    """Twelve pairs to train on and three to test on, in GLUE's format."""
    (folder / "MRPC").mkdir(parents=True)
    for name, count in (("train", 12), ("dev", 3)):
        rows = [f'{row % 2}\t1\t2\tSaid " {name} {row}\tSays, {row}' for row in range(count)]
        text = "\n".join(["Quality\t#1 ID\t#2 ID\t#1 String\t#2 String", *rows])
        (folder / "MRPC" / f"{name}.tsv").write_text(text, encoding="utf-8-sig")
    return folder


def test_mrpc_is_split_without_overlap(tmp_path: Path) -> None:
    task = Mrpc(tmp_path, 4, 1, make_glue(tmp_path / "glue"))
    task.fill(tmp_path)
    found = {}
    for split in SPLITS:
        with (tmp_path / f"{split}.csv").open(encoding="utf-8", newline="") as stream:
            found[split] = [tuple(row.values()) for row in csv.DictReader(stream)]
    assert {split: len(rows) for split, rows in found.items()} == {"train": 9, "validation": 3, "test": 3}
    assert ('Said " dev 1', "Says, 1", "1") in found["test"]
    assert not set(found["train"]) & set(found["validation"])


def test_validation_and_test_are_drawn_anew_for_each_seed(tmp_path: Path) -> None:
    task = Mrpc(tmp_path, 4, 1, make_glue(tmp_path / "glue"), draws=(0, 1))
    task.data("train").parent.mkdir(parents=True)
    task.fill(task.data("train").parent)
    drawn = {}
    for seed in task.draws:
        task._draw(seed)
        drawn[seed] = [[tuple(row) for row in read_csv(task.drawn(split, seed))[1:]] for split in SPLITS[1:]]
    both = {tuple(row) for split in SPLITS[1:] for row in read_csv(task.data(split))[1:]}
    for validation, test in drawn.values():
        assert len(validation) == len(test) == 3 and {*validation, *test} == both
    assert drawn[0] != drawn[1]


def test_pairs_of_few_texts_are_drawn_by_their_texts(tmp_path: Path) -> None:
    def pairs_of(rows: list[list[Any]]) -> Pairs:
        write_csv(tmp_path / "pairs.csv", [["one", "other", "score"], *rows])
        return Pairs(tmp_path / "pairs.csv")

    every = pairs_of([[f"text {one}", f"text {two}", one + two] for one in range(9) for two in range(one)])
    drawn = every.draw(np.random.default_rng(0))
    left = {int(place) for row in drawn for place in (every.first[row], every.second[row])}
    assert len(every.texts) == 9 and len(left) < 9  # with a text all its pairs are gone
    apart = pairs_of([[f"text {row}", f"other {row}", row] for row in range(9)])
    assert len(apart.draw(np.random.default_rng(0))) == 9
    low, high = interval(lambda rows: spearman(apart.scores[rows], apart.scores[rows]), apart)
    assert (low, high) == pytest.approx((1.0, 1.0))


def test_configs_of_all_cells_can_be_read(tmp_path: Path) -> None:
    tasks = [Movies(tmp_path, 4, 1), Mrpc(tmp_path, 4, 1)]
    file = tmp_path / "config.yaml"
    for cell in make_cells(tasks, tasks[-1], 4, [0, 1], {}):
        file.write_text(yaml.safe_dump(cell.settings["config"]), encoding="utf-8")
        config = read_config(file, cell.settings["overrides"])
        make_scheduler(config.scheduler, config.scheduler_config, config.pruning.target_sparsity)
        assert config.seed == cell.settings["seed"] and config.trainer == "transformers"


def test_the_command_line_lists_and_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work = ["--work", str(tmp_path / "work")]
    glue = ["--glue", str(make_glue(tmp_path / "glue"))]
    assert speed.main([*work, *glue, "--list", "--only", "choice/*", "--variant", "mine", "a=1", "--seeds", "7"]) == 0
    listed = capsys.readouterr().out.split()[1::2]
    assert listed == [
        f"choice/{task}/{name}/7" for task in ("movies", "mrpc") for name in ("published", "fast", "mine")
    ]
    assert speed.main([*work, "--report", "--glue", str(tmp_path)]) == 0
    assert "whole runs on movies" in capsys.readouterr().out
    assert not (tmp_path / "work").exists()
    counter = Counter(tmp_path / "work")
    counter.run(counter.cell("memory/movies/fine-tuning"))
    assert speed.main([*work, "--report"]) == 0
    assert "1 of 1 cells" in capsys.readouterr().out
    assert list(json.loads((tmp_path / "work" / "bench.json").read_text())) == ["memory/movies/fine-tuning"]
    assert speed.main([*work, *glue, "--only", "nothing"]) == 2
    with pytest.raises(SystemExit):
        speed.main([*work, "--variant", "fast", "a=1"])


def test_what_a_gpu_did_is_shown_in_tables() -> None:
    file = Path(gpu_check.__file__).with_name("results") / "gpu-h100-2026-11-27.json"
    console = Console(width=120, record=True, file=io.StringIO())
    gpu_check.show(json.loads(file.read_text(encoding="utf-8")), console)
    shown = console.export_text()
    assert "bert-base fast fp32 compiled" in shown and "0.0327" in shown
    assert "minilm bf16 student" in shown and "NVIDIA H100" in shown
