"""`trainer: inc` and `trainer: transformers` are the same distillation by two loops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.distillation import DistillationConfig
from minidisc_plugin.contracts.output import RESOLVED_CONFIG
from minidisc_plugin.contracts.validation import validate
from minidisc_plugin.foundation.errors import ConfigError, NonFiniteLossError
from minidisc_plugin.integrations.optimum.distiller import INCDistiller, criterion_of
from minidisc_plugin.objectives import KnowledgeDistillation, MiniDiscObjective
from minidisc_plugin.run.config.file import read_config
from minidisc_plugin.run.pipeline import compress
from tests.builders.tiny import make_config


def run(files: Path, folder: Path, regression: bool = False, **changes: Any) -> Any:
    data = make_config(files, regression, output_dir=str(folder), scheduler="direct", **changes)
    return compress(validate(CompressionConfig, data))


@pytest.mark.parametrize(
    ("regression", "distillation"),
    [
        (False, {"temperature": 2.0}),
        (False, {"objective": "knowledge_distillation", "temperature": 2.0, "loss_weights": [0.3, 0.7]}),
        (False, {"objective": "knowledge_distillation", "loss_types": ["CE", "KL"]}),
        (False, {"objective": "knowledge_distillation", "loss_types": ["CE", "MSE"]}),
        (True, {"temperature": 2.0}),
        (True, {"objective": "knowledge_distillation", "loss_types": ["MSE", "MSE"], "loss_weights": [0.3, 0.7]}),
    ],
    ids=str,
)
def test_both_trainers_give_the_same_student(
    regression: bool, distillation: dict[str, Any], run_files: Path, regression_files: Path, tmp_path: Path
) -> None:
    files = regression_files if regression else run_files
    # Adam would turn rounding errors of small gradients into whole steps.
    training = {**make_config(files)["training"], "optim": "sgd", "learning_rate": 0.05}
    students = [
        run(
            files, tmp_path / trainer, regression, trainer=trainer, distillation=distillation, training=training
        ).student.state_dict()
        for trainer in ("inc", "transformers")
    ]
    assert students[0].keys() == students[1].keys()
    furthest = max((students[0][name] - students[1][name]).abs().max().item() for name in students[0])
    assert furthest < 1e-5


def test_inc_is_the_default_and_recorded(run_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []
    train = INCDistiller.train

    def watch(self: INCDistiller, *args: Any, **kwargs: Any) -> Any:
        used.append(type(self).__name__)
        return train(self, *args, **kwargs)

    monkeypatch.setattr(INCDistiller, "train", watch)
    result = run(run_files, tmp_path / "out")
    assert used == ["INCDistiller"]
    assert read_config(tmp_path / "out" / RESOLVED_CONFIG).trainer == "inc"
    held = result.student.config.to_dict()
    assert not {"backend", "framework"} & held.keys()


def test_a_loss_that_is_not_finite_stops_it_too(run_files: Path, tmp_path: Path) -> None:
    training = {**make_config(run_files)["training"], "learning_rate": 1e10, "max_grad_norm": 0.0}
    with pytest.raises(NonFiniteLossError, match="the loss of student is"):
        run(run_files, tmp_path / "out", training=training)


def test_an_objective_without_a_loss_is_refused() -> None:
    class Own(MiniDiscObjective):
        name = "own"

    own = Own(DistillationConfig(objective="own"), regression=False)
    own.__class__.__bases__ = (KnowledgeDistillation.__bases__[0],)
    with pytest.raises(ConfigError, match="trainer: 'inc' has no loss for the objective 'own'"):
        criterion_of(own)
    settings = DistillationConfig(objective="knowledge_distillation", loss_types=("MSE", "CE"))
    with pytest.raises(ConfigError, match="takes the loss against labels from the model, which is CE"):
        criterion_of(KnowledgeDistillation(settings, regression=False))
