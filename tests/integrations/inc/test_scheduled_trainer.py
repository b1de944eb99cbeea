"""`ScheduledINCTrainer`: INCTrainer's loop, losses and masks around the chosen assistant and the sliced student."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from neural_compressor import QuantizationAwareTrainingConfig
from neural_compressor.config import DistillationConfig
from optimum.intel import INCConfig, INCTrainer
from torch.nn import functional
from transformers import AutoModelForSequenceClassification, TrainerCallback

import minidisc_plugin
from minidisc_plugin.contracts.config import DistillationConfig as Objectives
from minidisc_plugin.foundation.errors import ConfigError, RunDirectoryError
from minidisc_plugin.integrations.inc import MiniDiscLossConfig
from minidisc_plugin.integrations.optimum import ScheduledINCTrainer, trainer_arguments
from minidisc_plugin.objectives import MiniDiscObjective
from minidisc_plugin.objectives.terms import soft_cross_entropy
from tests.builders.script import examples, teacher_of
from tests.integrations.inc.making import SETTINGS, distillation, pruning, script


def scheduled(files: Path, folder: Path, **changes: Any) -> ScheduledINCTrainer:
    own = {key: changes.pop(key) for key in list(changes) if key.endswith(("_config", "dataset", "init", "callbacks"))}
    arguments = {**script(files, folder, **changes), "distillation_config": distillation(teacher_of(files)), **own}
    return ScheduledINCTrainer(
        **arguments, scheduler="minidisc", **({} if "scheduler_config" in own else {"scheduler_config": SETTINGS})
    )


def batch_of(trainer: INCTrainer) -> dict[str, torch.Tensor]:
    return trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))


def test_without_a_scheduler_the_weights_are_those_of_inctrainer(run_files: Path, tmp_path: Path) -> None:
    found = []
    for kind in (INCTrainer, ScheduledINCTrainer):
        trainer = kind(
            **script(run_files, tmp_path / kind.__name__),
            distillation_config=distillation(teacher_of(run_files)),
            pruning_config=pruning(),
        )
        trainer.current_gradient_accumulation_steps = 1  # what INCTrainer lacks from transformers 4.54 on
        trainer.train()
        found.append({name: value.clone() for name, value in trainer.model.state_dict().items()})
    first, second = found
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_assistant_teaches_and_the_student_is_the_slice(run_files: Path, tmp_path: Path) -> None:
    config = distillation(teacher_of(run_files))
    trainer = scheduled(run_files, tmp_path, distillation_config=config)
    full = sum(parameter.numel() for parameter in trainer.model.parameters())
    trainer.train()
    assert trainer.schedule is not None and len(trainer.schedule.record.assistants) == 1
    assert config.teacher_model is trainer.schedule.assistant
    assert trainer.distillation_config is config
    assert trainer.model is trainer.schedule.student and trainer.callback_handler.model is trainer.model
    assert sum(parameter.numel() for parameter in trainer.model.parameters()) < full
    assert trainer.evaluate()["eval_accuracy"] > 0.8


def test_the_loss_is_the_labels_and_the_assistants_by_hand(run_files: Path, tmp_path: Path) -> None:
    trainer = scheduled(run_files, tmp_path)
    trainer.train()
    batch, model = batch_of(trainer), trainer.model.eval()
    with torch.no_grad():
        student = model(**batch)
        teacher = trainer.schedule.assistant(**batch)
        loss = trainer.compute_loss(model, dict(batch))
        by_hand = 0.5 * functional.cross_entropy(student.logits, batch["labels"])
        by_hand += 0.5 * 2.0**2 * soft_cross_entropy(student.logits, teacher.logits, 2.0)
        other = trainer_loss_with(trainer, teacher_of(run_files), batch)
    assert torch.allclose(loss, by_hand, atol=1e-6)
    assert not torch.allclose(other, by_hand, atol=1e-4)


def trainer_loss_with(trainer: INCTrainer, teacher: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    trainer.distillation_config.teacher_model = teacher
    return trainer.compute_loss(trainer.model, dict(batch))


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_the_papers_loss_by_name(run_files: Path, tmp_path: Path, temperature: float) -> None:
    config = DistillationConfig(teacher_model=teacher_of(run_files), criterion=MiniDiscLossConfig(temperature))
    trainer = scheduled(run_files, tmp_path, distillation_config=config)
    trainer.train()
    batch, model = batch_of(trainer), trainer.model.eval()
    with torch.no_grad():
        loss = trainer.compute_loss(model, dict(batch))
        student = model(**batch, output_hidden_states=True)
        teacher = trainer.schedule.assistant(**batch, output_hidden_states=True)
        objective = MiniDiscObjective(Objectives(temperature=temperature), regression=False)
    assert torch.allclose(loss, objective(student, teacher, batch), atol=1e-6)


def test_masks_reach_their_sparsity_on_the_sliced_student(run_files: Path, tmp_path: Path) -> None:
    trainer = scheduled(run_files, tmp_path, pruning_config=pruning(0.5))
    trainer.train()
    pruners = trainer._compression_manager.callbacks.callbacks_list[0].pruners
    masks = [mask for pruner in pruners for mask in pruner.masks.values()]
    zeros = 1 - sum(int(mask.sum()) for mask in masks) / sum(mask.numel() for mask in masks)
    assert abs(zeros - 0.5) < 0.01
    weight = trainer.model.bert.encoder.layer[0].intermediate.dense.weight
    assert weight.shape[0] < 64 and (weight == 0).float().mean() > 0.2


def test_the_sparsity_of_the_pruning_config_is_the_students_and_reached_once(run_files: Path, tmp_path: Path) -> None:
    settings = {"candidates": [0.6, 0.4]}
    trainer = scheduled(run_files, tmp_path, pruning_config=pruning(0.8), scheduler_config=settings)
    trainer.train()
    assert trainer.schedule.record.target_scale == 0.2
    assert trainer.pruning_config is None
    assert (trainer.model.bert.encoder.layer[0].intermediate.dense.weight == 0).sum() == 0


def test_teacher_logits_become_the_assistants(run_files: Path, tmp_path: Path) -> None:
    train = examples(run_files).add_column("teacher_logits", [[9.0, -9.0]] * 120)
    trainer = scheduled(run_files, tmp_path, train_dataset=train)
    trainer.train()
    batch = batch_of(trainer)
    logits = batch.pop("teacher_logits")
    with torch.no_grad():
        assert torch.allclose(trainer.schedule.assistant(**batch).logits, logits, atol=1e-5)
    paper = DistillationConfig(teacher_model=teacher_of(run_files), criterion=MiniDiscLossConfig())
    trainer = scheduled(run_files, tmp_path / "paper", train_dataset=train, distillation_config=paper)
    trainer.train()
    assert "teacher_logits" not in batch_of(trainer)


def test_label_smoothing_accumulation_and_the_best_model(run_files: Path, tmp_path: Path) -> None:
    trainer = scheduled(
        run_files,
        tmp_path,
        label_smoothing_factor=0.1,
        gradient_accumulation_steps=2,
        num_train_epochs=2,
        eval_strategy="epoch",
        save_strategy="epoch",
        load_best_model_at_end=True,
        metric_for_best_model="accuracy",
    )
    trainer.train()
    assert trainer.state.best_metric is not None and trainer.state.best_metric > 0.8
    assert Path(trainer.state.best_model_checkpoint).is_dir()
    assert {folder.name for folder in tmp_path.iterdir()} >= {"schedule"}


def test_what_is_saved_loads_anywhere_and_with_optimum(run_files: Path, tmp_path: Path) -> None:
    trainer = scheduled(run_files, tmp_path / "out", pruning_config=pruning(0.5))
    trainer.train()
    folder = tmp_path / "saved"
    trainer.save_model(str(folder))
    assert not (folder / "pytorch_model.bin").exists()
    batch = batch_of(trainer)
    with torch.no_grad():
        logits = trainer.model.eval()(**batch).logits
        for loaded in (
            minidisc_plugin.load(folder),
            AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True),
        ):
            assert torch.allclose(loaded.eval()(**batch).logits, logits, atol=1e-6)
    held = json.loads((folder / "inc_config.json").read_text(encoding="utf-8"))
    assert held["scheduler"] == "minidisc" and held["scheduler_config"]["target_sparsity"] == 0.8
    config = INCConfig.from_pretrained(folder)
    assert config.pruning["approach"] == "magnitude" and config.distillation["temperature"] == 2.0
    assert config.distillation["teacher_model_name_or_path"] == str(run_files / "teacher"), "not the assistant's"


def test_an_inc_config_with_one_more_key_runs(run_files: Path, tmp_path: Path) -> None:
    teacher = teacher_of(run_files)
    INCConfig(pruning=pruning(0.8), distillation=distillation(teacher)).save_pretrained(tmp_path)
    file = tmp_path / "inc_config.json"
    held = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**held, "scheduler": "minidisc"}), encoding="utf-8")
    assert INCConfig.from_pretrained(tmp_path).distillation["temperature"] == 2.0

    trainer = ScheduledINCTrainer(**script(run_files, tmp_path / "out"), **trainer_arguments(tmp_path))
    trainer.train()
    assert trainer.schedule.record.target_scale == 0.2
    assert trainer.distillation_callback.criterion.temperature == 2.0


def test_a_schedule_is_not_made_twice(run_files: Path, tmp_path: Path) -> None:
    first = scheduled(run_files, tmp_path, save_strategy="epoch", num_train_epochs=2)
    first.train()
    stages = (tmp_path / "schedule" / "journal.json").read_text(encoding="utf-8")
    second = scheduled(run_files, tmp_path, save_strategy="epoch", num_train_epochs=2)
    second.train(resume_from_checkpoint=True)
    assert (tmp_path / "schedule" / "journal.json").read_text(encoding="utf-8") == stages
    assert second.state.global_step == first.state.global_step
    weights = [trainer.model.state_dict() for trainer in (first, second)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_quantization_aware_training_of_the_student(run_files: Path, tmp_path: Path) -> None:
    trainer = scheduled(run_files, tmp_path, quantization_config=QuantizationAwareTrainingConfig())
    trainer.train()
    assert trainer.distillation_config.teacher_model is trainer.schedule.assistant
    assert any(
        "qat" in type(module).__module__ or "quant" in type(module).__module__ for module in trainer.model.modules()
    )
    assert trainer.evaluate()["eval_accuracy"] > 0.7
    trainer.save_model(str(tmp_path / "saved"))
    assert (tmp_path / "saved" / "pytorch_model.bin").is_file()


def test_callbacks_and_model_init_come_along(run_files: Path, tmp_path: Path) -> None:
    class Count(TrainerCallback):
        steps = 0

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.steps += 1

    given, added = Count(), Count()
    arguments = {**script(run_files, tmp_path), "model": None, "model_init": lambda: teacher_of(run_files)}
    trainer = ScheduledINCTrainer(**arguments, callbacks=[given], scheduler="direct", scheduler_config=SETTINGS)
    trainer.add_callback(added)
    trainer.train()
    assert given.steps == added.steps == trainer.state.global_step == 5
    assert trainer.schedule.assistant is None and trainer.model is trainer.schedule.student


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scheduler_config": {"candidates": [0.6]}}, "scheduler_config.target_sparsity: missing"),
        ({"scheduler_config": {**SETTINGS, "candidate": 1}}, "scheduler_config.candidate: unknown key"),
        ({"scheduler": "mindisc"}, "scheduler: 'mindisc' is not known"),
        ({"optimizers": (torch.optim.SGD([torch.nn.Parameter(torch.ones(1))]), None)}, "optimizers: made before"),
    ],
    ids=str,
)
def test_settings_are_refused_when_the_trainer_is_made(
    changes: dict[str, Any], message: str, run_files: Path, tmp_path: Path
) -> None:
    arguments = {**script(run_files, tmp_path), "scheduler": "minidisc", "scheduler_config": SETTINGS, **changes}
    with pytest.raises(ConfigError) as caught:
        ScheduledINCTrainer(**arguments)
    assert message in str(caught.value)


def test_several_metrics_need_a_name(run_files: Path, tmp_path: Path) -> None:
    arguments = script(run_files, tmp_path)
    arguments["compute_metrics"] = lambda prediction: {"accuracy": 1.0, "other": 0.5}
    trainer = ScheduledINCTrainer(**arguments, scheduler="minidisc", scheduler_config=SETTINGS)
    with pytest.raises(ConfigError, match=r"args\.metric_for_best_model: missing; .*accuracy, other"):
        trainer.train()
    arguments = {**script(run_files, tmp_path), "compute_metrics": None}
    trainer = ScheduledINCTrainer(**arguments, scheduler="minidisc", scheduler_config=SETTINGS)
    with pytest.raises(ConfigError, match="compute_metrics: missing"):
        trainer.train()


def test_the_users_teacher_is_left_as_it_was(run_files: Path, tmp_path: Path) -> None:
    teacher = teacher_of(run_files)
    before = copy.deepcopy(teacher.state_dict())
    trainer = scheduled(run_files, tmp_path, distillation_config=distillation(teacher))
    trainer.train()
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    assert all(parameter.requires_grad for parameter in teacher.parameters())


def test_a_schedule_is_not_resumed_with_other_arguments(run_files: Path, tmp_path: Path) -> None:
    scheduled(run_files, tmp_path).train()
    with pytest.raises(
        RunDirectoryError, match=r"^resume: .*schedule holds stages .* another args\.learning_rate; give"
    ):
        scheduled(run_files, tmp_path, learning_rate=1e-2).train(resume_from_checkpoint=True)
