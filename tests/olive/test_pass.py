"""The pass in one process: which teachers it takes, how it goes on, what it leaves."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from olive.model import HfModelHandler, PyTorchModelHandler
from olive.passes.olive_pass import create_pass_from_dict

from minidisc_plugin import compress, hookimpl
from minidisc_plugin.contracts.records import read_results
from minidisc_plugin.nested.checkpoint import CODE_FILE
from minidisc_plugin.olive.compression import MiniDisc, PassError, _student, _teacher
from minidisc_plugin.olive.parameters import config_of
from minidisc_plugin.plugins import host
from tests.builders.tiny import make_bert, make_tokenizer
from tests.olive.test_parameters import workflow


class CountsStages:
    """A plug-in that lists the stages that were trained."""

    def __init__(self) -> None:
        self.stages: list[str] = []

    @hookimpl
    def minidisc_stage_finished(self, stage: str) -> None:
        self.stages.append(stage)


def made(files: Path, **changes: Any) -> MiniDisc:
    return create_pass_from_dict(MiniDisc, workflow(files, **changes), disable_search=True)


def handler(files: Path, **changes: Any) -> HfModelHandler:
    return HfModelHandler(**{"model_path": str(files / "teacher"), "task": "text-classification", **changes})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"adapter_path": "adapter"}, "input_model: adapter_path: .* MergeAdapterWeights before this one"),
        ({"test_model_config": {"hidden_layers": 1}}, "input_model: test_model_config: .* remove it"),
        ({"task": "fill-mask"}, "task: 'fill-mask' cannot be used"),
        (
            {"load_kwargs": {"quantization_method": "gptq", "quantization_config": {"bits": 4}}},
            "input_model: load_kwargs.quantization_config: quantize after this pass",
        ),
    ],
    ids=["adapter", "random weights", "task", "quantized"],
)
def test_a_teacher_that_cannot_teach_is_refused(
    changes: dict[str, Any], said: str, run_files: Path, tmp_path: Path
) -> None:
    if "adapter_path" in changes:
        (tmp_path / "adapter").mkdir()
        changes = {"adapter_path": str(tmp_path / "adapter")}
    with pytest.raises(PassError, match=said):
        made(run_files).run(handler(run_files, **changes), str(tmp_path / "models"))
    assert {path.name for path in tmp_path.iterdir()} <= {"adapter"}


@pytest.mark.parametrize(
    ("load_kwargs", "said"),
    [
        ({"revision": "v2"}, r"load_kwargs\.revision: 'v2' cannot be used: .*; remove it, or .* model_path"),
        ({"extra_args": {"variant": "better"}}, r"load_kwargs\.variant: 'better' cannot be used"),
        ({"torch_dtype": "float32", "num_labels": 3}, r"load_kwargs\.num_labels: 3 cannot be used"),
        ({"token": "hf_a-secret-of-mine"}, r"load_kwargs\.token: \*\*\* cannot be used"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_makes_it_another_model_is_refused(
    load_kwargs: dict[str, Any], said: str, run_files: Path, tmp_path: Path
) -> None:
    with pytest.raises(PassError, match=said) as caught:
        made(run_files).run(handler(run_files, load_kwargs=load_kwargs), str(tmp_path / "models"))
    assert not list(tmp_path.iterdir()) and "\n" not in str(caught.value)


def test_what_leaves_the_model_as_it_is_passes(run_files: Path) -> None:
    neutral = {"torch_dtype": "float16", "device_map": "cpu", "trust_remote_code": True, "attn_implementation": "sdpa"}
    given = handler(run_files, load_kwargs=neutral)
    assert _teacher(given) is given


def test_a_model_that_is_not_of_transformers_is_refused(run_files: Path, tmp_path: Path) -> None:
    model = PyTorchModelHandler(model_loader=lambda path: path)
    with pytest.raises(PassError, match="input_model: PyTorchModelHandler cannot be compressed; give a HfModel"):
        made(run_files).run(model, str(tmp_path / "models"))
    assert not list(tmp_path.iterdir())


def test_it_goes_on_with_a_run_that_was_cut_off_but_not_with_one_of_other_data(run_files: Path, tmp_path: Path) -> None:
    train, place, scratch = tmp_path / "train.csv", tmp_path / "models", tmp_path / "models-minidisc"
    train.write_bytes((run_files / "train.csv").read_bytes())
    data = workflow(run_files)["dataset"]
    data = {**data, "data_files": {**data["data_files"], "train": str(train)}}
    the_pass = made(run_files, dataset=data, scheduler="direct", scheduler_config={})
    teacher = str(run_files / "teacher")
    config = config_of(the_pass.config.model_dump(), model=teacher, task="text-classification", output_dir=str(scratch))
    compress(config)  # as far as a run gets that is cut off before the student is copied
    student = (scratch / "student" / "model.safetensors").read_bytes()
    shutil.copytree(scratch, tmp_path / "begun")
    counts = CountsStages()
    host().manager.register(counts)
    try:
        output = the_pass.run(handler(run_files), str(place))
        assert not counts.stages, "what was trained is trained again"
        assert (place / "model.safetensors").read_bytes() == student

        (tmp_path / "begun").rename(scratch)
        rows = train.read_text(encoding="utf-8").splitlines()
        train.write_text("\n".join(rows[:121]) + "\n", encoding="utf-8")
        the_pass.run(handler(run_files), str(place))
        assert counts.stages, "the student of other data is given for that of these"
    finally:
        host().manager.unregister(counts)
    assert {path.name for path in tmp_path.iterdir()} == {"train.csv", "models"}
    assert output.load_kwargs.trust_remote_code is True and output.task == "text-classification"
    assert {Path(file).name for file in output.model_attributes["additional_files"]} >= {
        "tokenizer.json",
        "config.json",
        "schedule.json",
        "results.json",
    }


def test_the_smallest_student_that_is_good_enough(run_files: Path, tmp_path: Path) -> None:
    settings = {"scheduler": "direct", "scheduler_config": {}, "pruning": {"max_loss": "90%"}}
    output = made(run_files, **settings).run(handler(run_files), str(tmp_path / "models"))
    budget = read_results(tmp_path / "models").budget
    assert budget is not None and budget.target_sparsity == 0.95 and budget.search is not None
    assert {path.name for path in tmp_path.iterdir()} == {"models"}
    assert not (tmp_path / "models" / "search").exists()
    weights = sum(weight.numel() for weight in output.load_model().parameters())
    (student,) = (row for row in read_results(tmp_path / "models").rows if row.role == "student")
    assert weights == student.parameters


def test_a_stock_student_needs_no_consent_to_code(tmp_path: Path) -> None:
    place = tmp_path / "models"
    place.mkdir()
    make_tokenizer(place)
    make_bert().save_pretrained(place)
    teacher = HfModelHandler(model_path=str(place), task="text-classification")
    assert _student(teacher, place).load_kwargs is None
    (place / CODE_FILE).touch()
    assert _student(teacher, place).load_kwargs.trust_remote_code is True
