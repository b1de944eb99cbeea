"""The evidence without its runs: pairs, intervals, the learning rate by validation, one cell at full length."""

from __future__ import annotations

import json
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers import AutoModel

from benchmarks import evidence, good_enough, students, ways
from benchmarks.cells import Record, Source, Store
from benchmarks.evidence_cells import OBJECTIVES, make_cells
from benchmarks.evidence_tables import Student, at_best_rate, markdown
from benchmarks.judge import Judge, judged
from benchmarks.pack import pack
from benchmarks.paired import difference
from benchmarks.tasks import Editorials, Movies, PooledMrpc, demo, pretrained_minilm
from benchmarks.unpack import unpack
from minidisc_plugin import compress
from minidisc_plugin.run.config.file import read_config
from minidisc_plugin.run.preparation import prepare
from tests.builders.tiny import make_config

SOURCE = Source(machine={}, versions={})


def a_student(right: str, validation: float = 0.8, seconds: float = 10.0) -> dict[str, Any]:
    test = {"metric": right.count("1") / len(right), "log_loss": 0.5, "kl": 0.1, "right": right}
    return {"seconds": seconds, "judged": {"test": test, "validation": {"metric": validation}}}


def a_cross(rate: float, seed: int, direct: str, through: str, validation: float = 0.8) -> Record:
    """Two assistants; the published rule takes the smaller, the others take none."""
    students = {
        ways.DIRECT: a_student(direct, validation),
        ways.longer(3): a_student(direct, validation, 30.0),
        ways.SLICE: a_student(direct, validation),
        ways.following(0.5): a_student(direct, validation, 25.0),
        ways.following(0.2): a_student(through, validation, 25.0),
        ways.following_both(0.2): a_student(through, validation, 25.0),
    }
    choices = {
        "lambda": {"scale": 0.2, "share": 0.5},
        "log_loss": {"scale": 1.0, "share": 1.0},
        "gap": {"scale": 1.0, "share": 0.9},
    }
    said = {"teacher": "minilm", "task": "movies", "scale": 0.1, "rate": rate, "seed": seed}
    result = {"students": students, "choices": choices, "candidates": [{"scale": 0.5}, {"scale": 0.2}]}
    return Record(name=f"{rate}/{seed}", settings=said, result=result, seconds=1.0, date="2026-01-02", source=SOURCE)


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
    def students(rate: float, validation: float, seeds: tuple[int, ...]) -> list[Student]:
        made = a_student("10", validation)
        return [
            Student("direct", {"task": "movies", "seed": seed, "rate": rate}, made["seconds"], made["judged"])
            for seed in seeds
        ]

    slow, quick, begun = students(2e-4, 0.7, (0, 1)), students(6e-4, 0.9, (0, 1)), students(1e-3, 1.0, (0,))
    assert at_best_rate([*slow, *quick, *begun]) == quick


def test_the_table_has_a_row_for_each_way_and_says_what_rules_miss() -> None:
    table = markdown([a_cross(2e-4, seed, "1100", "1110") for seed in (0, 1)])
    assert "**minilm, student of 0.1** (movies)" in table
    assert "| direct | 0.0002 | 2 | 0.500 | 0.500 | 0.100 | 1.0 |  |" in table
    assert "| minidisc, rule lambda | 0.0002 | 2 | 0.750 | 0.500 | 0.100 | 2.5 | +25.0 [" in table
    assert "| minidisc, rule log_loss | 0.0002 | 2 | 0.500 | 0.500 | 0.100 | 1.0 | +0.0 [" in table
    assert "| lambda | 0.0 | 0.0 | 100% | 50% |" in table
    assert "| log_loss | 25.0 | 25.0 | 0% | 100% |" in table
    assert "| always the teacher | 25.0 | 25.0 | 0% | 100% |" in table


def test_objectives_have_a_table_of_their_own() -> None:
    def record(objective: str, right: str) -> Record:
        said = {"teacher": "minilm", "task": "mrpc", "scale": 0.1, "rate": 2e-4, "seed": 0, "objective": objective}
        made = a_student(right)
        return Record(name=objective, settings=said, result=made, seconds=1.0, date="2026-01-02", source=SOURCE)

    table = markdown([record("knowledge_distillation", "1000"), record("minidisc", "1100"), record("ted", "1110")])
    first, second = table.split("against minidisc")
    assert "| ted | 0.0002 | 1 | 0.750 | 0.500 | 0.100 | 1.0 | +50.0 [" in first
    assert "| ted | 0.0002 | 1 | 0.750 | 0.500 | 0.100 | 1.0 | +25.0 [" in second


def test_several_students_are_compared_with_runs_of_one() -> None:
    def record(sparsities: list[float], seed: int, right: str) -> Record:
        made = {"assistants": [0.7], "judged": {"test": {"right": right}}}
        seconds = 10.0 * len(sparsities) + 5
        students_made = {f"{sparsity:g}": made for sparsity in sparsities}
        result = {"processor_seconds": seconds, "students": students_made}
        said = {"task": "movies", "sparsities": sparsities, "seed": seed}
        return Record(name="x", settings=said, result=result, seconds=1, date="", source=SOURCE)

    every = list(students.SPARSITIES)
    records = [record(every, seed, "1110") for seed in (0, 1)]
    records += [record([one], seed, "1100") for seed in (0, 1) for one in every]
    found = students.markdown(records)
    assert "| 0.9 | 0.500 | 0.750 | +25.0 [" in found and "| 0.7 0.7 / 0.7 0.7 | 15 s |" in found
    assert "All in one run: 45 s of processor time, 3.00 times" in found and "0.75 times all four" in found
    assert "All in one run" not in students.markdown(records[1:-1:2])


def test_a_promise_counts_where_it_was_made() -> None:
    """Of two students one lost more than it may, but no more than a standard error beyond; of two, none was found."""

    def record(seed: int, lost: int, enough: bool) -> Record:
        search = {"tried": [{"good_enough": False}, {"good_enough": enough}]}
        right = "0" * lost + "1" * (100 - lost)
        student = {"scale": 0.3, "search": search, "judged": {"test": {"right": right}}}
        made = {f"{loss:g}": student for loss in good_enough.LOSSES}
        result = {"judged_teacher": {"test": {"right": "1" * 100}}, "students": made}
        return Record(
            name="x", settings={"task": "movies", "seed": seed}, result=result, seconds=1, date="", source=SOURCE
        )

    records = [record(0, 1, True), record(1, 2, True), record(2, 9, False), record(3, 4, True)]
    assert good_enough.lost_on_test(records[3], 0.01) == pytest.approx((4.0, 1.97), abs=0.01)
    table = good_enough.markdown(records)
    assert "| movies | 0.01 | 0.3 0.3 0.3 0.3 | +4.0 (+1.0 +2.0 +9.0 +4.0) | 1 of 3 | 2 of 3 | 1 |" in table
    assert "| movies | 0.05 | 0.3 0.3 0.3 0.3 | +4.0 (+1.0 +2.0 +9.0 +4.0) | 3 of 3 | 3 of 3 | 1 |" in table


@pytest.mark.slow
def test_every_loss_has_the_student_that_a_run_of_it_finds(config_file: Path, tmp_path: Path) -> None:
    overrides = ["pruning.target_sparsity=null", "pruning.max_loss=0.9", "scheduler_config.candidates=null"]
    found = ways.searched(config_file, overrides, (0.9, 0.0), tmp_path / "scratch")
    for max_loss, made in found["students"].items():
        changes = [*overrides, f"pruning.max_loss={max_loss}", f"output_dir={tmp_path / max_loss}", *ways.SETTINGS]
        result = compress(read_config(str(config_file), changes))
        student = result.results.row("student")
        assert student is not None and made["scale"] == pytest.approx(student.scale)
        assert made["judged"]["test"]["metric"] == pytest.approx(student.metric)


def test_what_a_student_says_is_judged() -> None:
    logits = np.log(np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]]))
    found = judged(logits, np.log(np.array([[0.5, 0.5]] * 3)), np.array([0, 0, 1]))
    assert found["right"] == "100" and found["metric"] == pytest.approx(1 / 3)
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.4, 0.3]).mean())
    divergence = [0.5 * np.log(0.5 / a) + 0.5 * np.log(0.5 / b) for a, b in ((0.9, 0.1), (0.4, 0.6), (0.7, 0.3))]
    assert found["kl"] == pytest.approx(np.mean(divergence))


@pytest.fixture
def config_file(run_files: Path, tmp_path: Path) -> Path:
    data = make_config(run_files, output_dir=str(tmp_path / "out"), scheduler="direct", trainer="transformers")
    data["dataset"]["data_files"]["validation"] = data["dataset"]["data_files"]["test"]
    file = tmp_path / "config.json"
    file.write_text(json.dumps(data), encoding="utf-8")
    return file


def test_a_run_is_judged_as_it_was_reported(config_file: Path, tmp_path: Path) -> None:
    """By whichever way it was made: the student is the one that a whole run has."""
    config = read_config(str(config_file))
    result = compress(config)
    rows = {row.role: row.metric for row in result.results.rows}
    judge = Judge(prepare(config, tmp_path / "stages"))
    found = judge(result.student)
    assert found["test"]["metric"] == pytest.approx(rows["student"])
    assert judge.teacher["test"] == pytest.approx(rows["teacher"])
    assert len(found["test"]["right"]) == result.results.examples
    taught = ways.taught(config_file, [], tmp_path / "taught")
    assert taught["judged"] == found
    several = ways.several(config_file, ["pruning.target_sparsity=[0.5, 0.8]"], tmp_path / "several")
    assert several["students"]["0.8"] == {"assistants": [], "judged": found} and "0.5" in several["students"]
    json.dumps([taught, several])


@pytest.mark.skipif(transformers.__version__ < "5", reason="`make evidence` runs on today's stack")
def test_students_of_all_starts_and_guides_share_one_sandwich(config_file: Path, tmp_path: Path) -> None:
    """One that a run makes, too, is the same one."""
    overrides = ["scheduler=minidisc", "scheduler_config.candidates=[0.5, 0.3]", "scheduler_config.halving=false"]
    crossed = ways.crossed(config_file, overrides, 2, tmp_path)
    every = crossed["students"]
    assert {ways.DIRECT, ways.longer(2), ways.SLICE, ways.FOLLOWING_TEACHER} < every.keys()
    assert {ways.following(0.5), ways.following(0.3)} < every.keys()
    chosen = crossed["choices"]["lambda"]["scale"]
    assert {ways.following_both(chosen), *(ways.from_teacher(chosen, both) for both in (False, True))} < every.keys()
    alone = ways.taught(config_file, [*overrides, "distillation.guide=both"], tmp_path / "both")
    assert every[ways.following_both(chosen)]["judged"] == alone["judged"]
    json.dumps(crossed)


def test_cells_are_configs(tmp_path: Path) -> None:
    tasks = [Movies(tmp_path, 100, 3), PooledMrpc(tmp_path, 100, 3), Editorials(tmp_path, 100, 3)]
    cells = make_cells({"minilm": tasks, "mpnet": tasks}, [0.1, 0.05], [2e-4], [0, 1], 3)
    assert len({cell.name for cell in cells}) == len(cells) == 2 * 3 * 2 * 2 + 2 * 3 * len(OBJECTIVES)
    for cell in cells:
        file = tmp_path / "config.json"
        file.write_text(json.dumps(cell.settings["config"]), encoding="utf-8")
        config = read_config(str(file), cell.settings["overrides"])
        assert config.pruning.target_sparsity == pytest.approx(1 - cell.settings["scale"])
        assert config.training["learning_rate"] == cell.settings["rate"]


def test_what_there_is_can_be_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evidence.main(["--work", str(tmp_path), "--list", "--teachers", "minilm", "--seeds", "0"]) == 0
    assert "missing  cross/minilm/movies/0.1/0.0002/0" in capsys.readouterr().out
    assert evidence.main(["--work", str(tmp_path), "--only", "nothing"]) == 2
    Store(tmp_path).folder.mkdir(parents=True)
    assert evidence.main(["--work", str(tmp_path), "--report"]) == 0


def test_what_a_machine_without_a_registry_needs_travels_in_pieces(tmp_path: Path) -> None:
    archive, wheels = tmp_path / "vader.tar.gz", tmp_path / "wheels"
    archive.write_bytes(b"archive")
    wheels.mkdir()
    count = pack(tmp_path / "parcel", 8 * 2**20, ["minilm"], archive, tmp_path / "no-glue", wheels)
    sizes = [sum(file.stat().st_size for file in piece.rglob("*")) for piece in (tmp_path / "parcel").iterdir()]
    largest = 30_522 * 384 * 2  # the embeddings, which are one tensor
    assert count == len(sizes) > 2 and max(sizes) < largest + 2**20
    unpack(tmp_path / "parcel", tmp_path / "work")
    assert (tmp_path / "work" / "vader.tar.gz").read_bytes() == b"archive"
    folder = pretrained_minilm(tmp_path / "work" / "minilm")
    assert folder == tmp_path / "work" / "minilm" / "pretrained"
    model, whole = (AutoModel.from_pretrained(place) for place in (folder, demo().pretrained_folder()))
    for name, weight in whole.state_dict().items():
        assert torch.equal(model.state_dict()[name], weight.half().to(weight.dtype)), name
    found = list(distributions(path=[str(tmp_path / "work" / "site")]))
    assert {entry.name for entry in found[0].entry_points} >= {"minidisc", "direct"}
