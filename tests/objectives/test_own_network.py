"""What objectives learn beside a student: trained with it, kept in checkpoints, gone when a stage is over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from minidisc_plugin import CompressionConfig, compress
from minidisc_plugin.contracts.distillation import DistillationConfig
from minidisc_plugin.contracts.objective import PROGRESS
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.objectives import AdKd, Ted
from minidisc_plugin.run.config.file import read_config
from minidisc_plugin.run.preparation import prepare
from minidisc_plugin.run.shipped import minidisc_register_objectives
from minidisc_plugin.schedulers.stage import Stages
from minidisc_plugin.training.distil import DistillationTrainer
from minidisc_plugin.training.observing import observed
from minidisc_plugin.training.own_network import NAME, attach, detach, equipped, without
from tests.builders.tiny import make_bert, make_config
from tests.builders.zoo import make_inputs, make_model

OBJECTIVES = ("ted", "codir", "ad_kd")
OTHER_WAYS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("ted", {"bf16": True}, {"teacher_cache": True}),
    ("ted", {}, {"weights": "bfloat16"}),
    ("codir", {"gradient_accumulation_steps": 2}, {}),
    ("codir", {"gradient_checkpointing": True}, {}),
    ("codir", {}, {"weights": "bfloat16"}),
    ("ad_kd", {"gradient_accumulation_steps": 2}, {}),
    ("ad_kd", {"bf16": True}, {"teacher_cache": True}),
]


def make_run(files: Path, out: Path, objective: str, **changes: Any) -> CompressionConfig:
    training = {"num_train_epochs": 3, "learning_rate": 2e-3, **changes.pop("training", {})}
    data = make_config(files, trainer="transformers", output_dir=str(out), **changes)
    data["training"] |= training
    data["distillation"] = {"objective": objective, **changes.get("distillation", {})}
    return CompressionConfig.model_validate(data)


@pytest.mark.parametrize(
    ("objective", "scheduler"),
    [
        ("ted", "minidisc"),
        ("codir", "direct"),
        ("ad_kd", "direct"),
        pytest.param("ted", "direct", marks=pytest.mark.slow),
        pytest.param("codir", "minidisc", marks=pytest.mark.slow),
        pytest.param("ad_kd", "minidisc", marks=pytest.mark.slow),
    ],
)
def test_a_student_learns_and_nothing_of_the_objective_stays(
    objective: str, scheduler: str, run_files: Path, tmp_path: Path
) -> None:
    result = compress(make_run(run_files, tmp_path / "out", objective, scheduler=scheduler))
    student = result.results.row("student")
    assert student is not None and student.metric is not None and student.metric > 0.9
    names = load_file(tmp_path / "out" / "student" / "model.safetensors").keys()
    assert not any(NAME in name for name in names)
    assert ("sandwich-objective" in result.schedule.seconds) is (objective == "ted" and scheduler == "minidisc")
    resolved = read_config(tmp_path / "out" / "config.resolved.yaml").distillation
    assert resolved.own["temperature"] == 2.0


@pytest.mark.parametrize(
    ("objective", "training", "engine"),
    [
        ("ted", {"gradient_accumulation_steps": 2, "gradient_checkpointing": True}, {}),
        ("codir", {"bf16": True}, {"teacher_cache": True}),
        ("ad_kd", {}, {"weights": "bfloat16"}),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in OTHER_WAYS),
    ],
)
def test_a_step_in_other_ways(
    objective: str, training: dict[str, Any], engine: dict[str, Any], run_files: Path, tmp_path: Path
) -> None:
    training = {"use_cpu": True, "num_train_epochs": 1, **training}
    result = compress(make_run(run_files, tmp_path / "out", objective, training=training, engine=engine))
    assert result.results.row("student") is not None


def test_checkpoints_hold_it(run_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Tensor]] = []
    rates: list[set[str]] = []
    train = DistillationTrainer.train

    def noting(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = train(self, *args, **kwargs)
        newest = max(Path(self.args.output_dir).glob("checkpoint-*"), key=lambda folder: folder.stat().st_mtime)
        seen.append(load_file(newest / "model.safetensors"))
        held = {id(parameter) for group in self.optimizer.param_groups for parameter in group["params"]}
        rates.append({name for name, parameter in self.model.named_parameters() if id(parameter) in held})
        return found

    monkeypatch.setattr(DistillationTrainer, "train", noting)
    compress(make_run(run_files, tmp_path / "out", "ted", scheduler="direct"))
    lesson, stage = seen
    assert {name.split(".")[0] for name in lesson} == {"network"}
    own = {name for name in stage if name.startswith(NAME)}
    assert {name.replace(NAME, "network") for name in own} == set(lesson)
    # Filters of the teacher, poolers and heads learn before the stage only.
    assert {name for name in rates[1] if name.startswith(NAME)} == {
        name for name in own if name.startswith(f"{NAME}.student.filters")
    }
    for name in own:
        same = torch.equal(stage[name], lesson[name.replace(NAME, "network")])
        assert same is not name.startswith(f"{NAME}.student.filters"), name
    assert len(rates[0]) == len(lesson)


def test_an_objective_knows_how_far_a_stage_is(
    run_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    called = AdKd.__call__

    def noting(self: AdKd, student: Any, teacher: Any, batch: Any) -> Tensor:
        seen.append(float(batch[PROGRESS]))
        return called(self, student, teacher, batch)

    monkeypatch.setattr(AdKd, "__call__", noting)
    training = {"num_train_epochs": 2, "gradient_accumulation_steps": 3}
    own = {"ad_kd": {"annealed": True}}
    compress(make_run(run_files, tmp_path / "out", "ad_kd", scheduler="direct", training=training, distillation=own))
    steps = seen[-18:]  # nine batches an epoch
    assert steps == pytest.approx([step / 6 for step in range(6) for _ in range(3)])


def test_models_stay_as_they_are_before_a_stage(
    run_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught: list[bool] = []
    teach = Stages._teach_objective

    def noting(self: Stages, stage: Any) -> None:
        before = [{n: v.clone() for n, v in model.state_dict().items()} for model in (stage.model, stage.teacher)]
        teach(self, stage)
        after = [model.state_dict() for model in (stage.model, stage.teacher)]
        taught.append(
            all(
                one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)
                for one, other in zip(before, after, strict=True)
            )
        )

    monkeypatch.setattr(Stages, "_teach_objective", noting)
    compress(make_run(run_files, tmp_path / "out", "ted"))
    assert taught.count(True) == len(taught) >= 2


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_models_of_two_stacks_are_refused_by_name(objective: str) -> None:
    kinds = {kind.name: kind for kind in minidisc_register_objectives()}
    made = kinds[objective](DistillationConfig(objective=objective), regression=False)
    model, inputs = make_model("bart/classifier"), make_inputs("bart/classifier")
    with pytest.raises(ConfigError, match=rf"^distillation.objective: '{objective}' .* bart has two; set distillation"):
        made.make_network(model, model, None)  # type: ignore[arg-type]
        observed(made, model, inputs, {}, {**inputs, "labels": torch.zeros(len(inputs["input_ids"]), dtype=torch.long)})


def test_attached_and_detached() -> None:
    model = make_bert()
    names = list(model.state_dict())
    objective = Ted(DistillationConfig.model_validate({"objective": "ted"}), regression=False)
    chance = torch.get_rng_state()
    one = equipped(objective, model, model, None, seed=3)  # type: ignore[arg-type]
    two = equipped(objective, model, model, None, seed=3)  # type: ignore[arg-type]
    assert torch.equal(chance, torch.get_rng_state()) and objective.network is None
    pairs = zip(one.network.parameters(), two.network.parameters(), strict=True)
    assert all(torch.equal(mine, other) for mine, other in pairs)
    attach(model, one)
    assert [name for name in model.state_dict() if name not in names] == [
        f"{NAME}.{name}" for name in one.network.state_dict()
    ]
    assert list(without(model.state_dict())) == names
    detach(model)
    assert list(model.state_dict()) == names


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_host_has_no_place_for_it(objective: str, run_files: Path, tmp_path: Path) -> None:
    config = make_run(run_files, tmp_path / "out", objective).model_copy(update={"trainer": "inc"})
    with pytest.raises(
        ConfigError, match=rf"^trainer: 'inc' has no place for what distillation.objective: {objective} "
    ):
        prepare(config, tmp_path / "checkpoints")
    free = config.model_copy(update={"trainer": None})
    assert prepare(free, tmp_path / "checkpoints").config.trainer == "transformers"


@pytest.mark.parametrize(
    ("objective", "changes", "told"),
    [
        (
            "ted",
            {"task": "token-classification"},
            "'ted' is for task text-classification, not for token-classification",
        ),
        ("ad_kd", {"training": {"gradient_checkpointing": True}}, "training.gradient_checkpointing: activations"),
        ("ted", {"training": {"fsdp": True}}, "training.fsdp: what distillation.objective: ted learns before a stage"),
        ("ted", {"distillation": {"codir": {}}}, "distillation.codir: unknown key"),
        ("minidisc", {"distillation": {"minidisc": {"x": 1}}}, "'minidisc' has no settings of its own"),
        ("codir", {"distillation": {"codir": {"negative": 3}}}, "did you mean 'negatives'"),
        ("codir", {"distillation": {"codir": "x"}}, "distillation.codir: 'x' cannot be used: give keys and values"),
    ],
    ids=range(7),
)
def test_what_is_refused_before_anything_is_written(
    objective: str, changes: dict[str, Any], told: str, run_files: Path, tmp_path: Path
) -> None:
    data = make_config(run_files, trainer="transformers", output_dir=str(tmp_path / "out"))
    for key, value in {"distillation": {"objective": objective}, **changes}.items():
        held = data.get(key)
        data[key] = {**held, **value} if isinstance(held, dict) else value
    data["distillation"] |= {"objective": objective}
    file = tmp_path / "config.json"
    file.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        compress(file)
    assert told in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
