"""Run directories, students and plug-ins of the release before modules moved into rooms."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import torch
import transformers
import yaml
from safetensors.torch import load_file

import minidisc_plugin
from minidisc_plugin import metrics
from minidisc_plugin.cli import main
from minidisc_plugin.contracts.records import read_results, read_schedule
from minidisc_plugin.foundation.digests import sha256_of
from minidisc_plugin.foundation.former_names import FORMER
from minidisc_plugin.run.directory.record import SAME_METRIC, SAVED_TOKENIZER, RunRecord

same_transformers = pytest.mark.skipif(
    not transformers.__version__.startswith("4."),
    reason="begun with transformers 4, whose models and tokenizers have other checksums",
)
HELD = Path(__file__).with_name("before_rooms.tar.gz")
METRICS = {
    "accuracy": "85b2ead9c35851cf8a1e62a734f1b273b320314bc0ec3e236bcbdd214b5d7e13",
    "bits_saved": "fddc0ccf06a07233bd73b73b7088f8b4d9966cea15ec95316d96754acad1ff0d",
    "cer": "521502ac40e11cb22a7c4cb90e4d79e9c752b052b2c34e6f77b60b2c1a650aab",
    "f1": "8e19613fe3d2813205b5715e543b806ac1eb406758270fd6bb249052312a74c7",
    "matthews_correlation": "a6e404dac1385ae02fa3affbaedda4d781102cb3d49c920cf73d986bb25174f4",
    "pearsonr": "371f043502dcf6877d91a4c472cdd913f4dff486dd80bfdafeb711b96cc60006",
    "rouge": "9220b474792ee5e41d08a1e3f59f32a524133883179f2111301d3813148d7767",
    "sacrebleu": "b091dc3ded739e2c2235c1a7cbc83ab76338ab73383773c405b47d8488f02310",
    "seqeval": "f3a79ce4ebc3471e21f852a80f3a580355bb57346ede55c78b0b1a8642c429eb",
    "spearmanr": "96d06f811a60191300bfbe414490ef5f40f4c5a2bb1bfa4829ef816be2843b8f",
    "squad": "bbf7ab41a459579ce985d90deb050821db997d2b97c505665b99871723dd26f0",
    "wer": "e256fc469fba43b9adc1730241eaa66d6f08c5ea1eefacf5967a8679757cdf03",
}

# As it was written then, with every path that the documentation named.
PLUGIN = """
from collections.abc import Iterable

from minidisc_plugin import hookimpl
from minidisc_plugin.deployment.artefact import Artefact
from minidisc_plugin.errors import ConfigError
from minidisc_plugin.nested.family import Family, Heads, Layout, Neurons
from minidisc_plugin.reporting.records import Candidate
from minidisc_plugin.schedulers.base import PlannedStage, Schedule, Scheduler
from minidisc_plugin.schedulers.candidates import conclude
from minidisc_plugin.schedulers.workbench import Workbench
from minidisc_plugin.selection import check_candidates, choose
from minidisc_plugin.steps import Run, Step
from minidisc_plugin.contracts.objective import Objective


class Middle(Scheduler):
    name = "middle"

    def candidate_scales(self) -> tuple[float, ...]:
        return (round((1 + self.target_scale) / 2, 6),)

    def stages(self) -> list[PlannedStage]:
        (scale,) = self.candidate_scales()
        return [PlannedStage("assistant", 1.0, {scale: 1.0}), PlannedStage("student", scale, {self.target_scale: 1.0})]

    def run(self, bench: Workbench) -> Schedule:
        (scale,) = self.candidate_scales()
        nested = bench.ranked_network()
        candidates = bench.specify(self.name, nested, [scale])
        nested.trim(scale)
        bench.train(nested, [scale], bench.teacher, "assistant")
        candidates = bench.evaluate(nested, candidates, self.name)
        return conclude(
            self,
            bench,
            candidates=[candidate.model_copy(update={"selected": True}) for candidate in candidates],
            assistants=[nested.extract(scale)],
            student=nested.extract(self.target_scale),
            rule="the middle",
        )


@hookimpl
def minidisc_register_schedulers() -> Iterable[type[Scheduler]]:
    return [Middle]
"""


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run, and one that was killed in the student's stage, beside what they were made from."""
    with tarfile.open(HELD) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_students_folder_loads(held: Path) -> None:
    student = minidisc_plugin.load(held / "finished" / "student")
    with torch.no_grad():
        logits = student(input_ids=torch.tensor([[2, 5, 14, 3]])).logits
    assert logits.shape == (1, 2) and logits.isfinite().all()
    saved = load_file(held / "finished" / "student" / "model.safetensors")
    assert all(torch.equal(value, saved[name]) for name, value in student.state_dict().items() if name in saved)


@same_transformers
def test_a_finished_run_is_one(held: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {file: file.stat().st_mtime_ns for file in (held / "finished").rglob("*") if file.is_file()}
    assert main(["run", "compression.yaml", "--resume"]) == 0
    assert main(["report", "finished"]) == 0
    assert "student" in capsys.readouterr().out
    assert {file: file.stat().st_mtime_ns for file in before} == before


@same_transformers
def test_a_run_that_was_cut_off_is_resumed(held: Path) -> None:
    assert main(["run", "compression.yaml", "--resume", "--set", "output_dir=cut-off"]) == 0
    assert not (held / "cut-off" / "checkpoints").exists()
    finished, resumed = read_schedule("finished"), read_schedule("cut-off")
    assert resumed.assistants == finished.assistants
    assert [c.raw_metric for c in resumed.candidates] == [c.raw_metric for c in finished.candidates]
    metrics = [[row.metric for row in read_results(run).rows] for run in ("finished", "cut-off")]
    assert metrics[0] == metrics[1]
    ended, wanted = (load_file(Path(run) / "student" / "model.safetensors") for run in ("cut-off", "finished"))
    for name, value in wanted.items():
        torch.testing.assert_close(ended[name], value, rtol=1e-3, atol=1e-5)


@pytest.mark.quick_on("inc")
def test_a_plug_in_goes_on_to_work(held: Path) -> None:
    (held / "middle_scheduler.py").write_text(PLUGIN, encoding="utf-8")
    installed = held / "middle-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: middle\nVersion: 1.0\n", encoding="utf-8")
    (installed / "entry_points.txt").write_text(
        "[optimum.compression.schedulers]\nmiddle = middle_scheduler\n", encoding="utf-8"
    )
    config = yaml.safe_load((held / "compression.yaml").read_text(encoding="utf-8"))
    config |= {"scheduler": "middle", "output_dir": "middle", "scheduler_config": {}}
    (held / "middle.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    path = os.pathsep.join([str(held), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "minidisc_plugin.cli", "run", "middle.yaml"]
    ended = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, cwd=held, timeout=240
    )
    assert ended.returncode == 0, ended.stderr
    assert read_schedule("middle").scheduler == "middle"


def test_a_metric_that_computes_what_it_did_is_the_same() -> None:
    today = {sha256_of(Path(metrics.__file__).parent / name / f"{name}.py") for name in metrics.shipped_metrics()}
    for before, after in SAME_METRIC.items():
        assert after in today and before not in today
        held, wanted = (RunRecord(settings={}, inputs={"metric": digest}) for digest in (before, after))
        assert held.differences(wanted) == ([], [])
        assert held.differences(RunRecord(settings={}, inputs={"metric": "another"})) == ([], ["metric"])


@pytest.mark.parametrize("name", metrics.shipped_metrics())
def test_who_changes_a_metric_learns_that_runs_know_it_by_its_text(name: str) -> None:
    assert sha256_of(Path(metrics.__file__).parent / name / f"{name}.py") == METRICS[name], (
        "where it computes what it did, put its former checksum into _FORMER_METRICS of record.py, so that runs which "
        "were begun before can be resumed; then put today's here"
    )


@pytest.mark.parametrize(
    ("before", "named"), [({"tokenizer": "vocabulary"}, []), ({"tokenizer": "another"}, ["tokenizer"])], ids=str
)
def test_a_tokenizer_is_compared_as_the_release_did_that_began_the_run(
    before: dict[str, str], named: list[str]
) -> None:
    today = RunRecord(settings={}, inputs={"tokenizer": "vocabulary", SAVED_TOKENIZER: "all of it"})
    assert RunRecord(settings={}, inputs=before).differences(today) == ([], named)
    other = RunRecord(settings={}, inputs={"tokenizer": "vocabulary", SAVED_TOKENIZER: "more"})
    assert other.differences(today) == ([], ["tokenizer"])


@pytest.mark.parametrize("former", FORMER)
def test_a_former_name_is_the_module_of_today(former: str) -> None:
    code = (
        f"import warnings, importlib; warnings.simplefilter('ignore')\n"
        f"one, other = importlib.import_module({former!r}), importlib.import_module({FORMER[former]!r})\n"
        f"assert one is other and other.__spec__.name == {FORMER[former]!r}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
