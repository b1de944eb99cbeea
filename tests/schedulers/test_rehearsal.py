"""What training stages are made of is made before a run: what fails is named, and nothing is left behind."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import TrainingArguments

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.run import Prepared
from minidisc_plugin.contracts.validation import validate
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.run.preparation import prepare
from minidisc_plugin.run.workbench import workbench_of
from minidisc_plugin.schedulers.rehearsal import _check_batches, twin
from tests.builders.tiny import make_bert, make_config


def prepared(files: Path, folder: Path, training: dict[str, Any], **changes: Any) -> Prepared:
    data = make_config(files, output_dir=str(folder / "out"), **changes)
    data["training"] = {**data["training"], **training}
    return prepare(validate(CompressionConfig, data), folder / "out" / "checkpoints")


def marks() -> dict[str, str]:
    """The environment, without what the test runner says of itself."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}


@pytest.fixture
def nothing_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """No file, and no mark in the environment, is left when the test is over."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.chdir(tmp_path)
    environment = marks()
    yield
    assert list(tmp_path.iterdir()) == [scratch] and not list(scratch.iterdir())
    assert marks() == environment


@pytest.mark.parametrize(
    ("training", "parts"),
    [
        ({"report_to": "wandb"}, ("training.report_to: 'wandb' cannot be used", "pip install wandb")),
        ({"report_to": ["none", "clearml"]}, ("training.report_to: ['none', 'clearml'] cannot be used",)),
        ({"report_to": "words"}, ("training.report_to: 'words' cannot be used", "words is not supported")),
        ({"optim": "adamw_bnb_8bit"}, ("training.optim: 'adamw_bnb_8bit' cannot be used", "bitsandbytes")),
        ({"optim": "lomo"}, ("training.optim: 'lomo' cannot be used", "state")),
        (
            {"optim": "galore_adamw", "optim_target_modules": "all-linear"},
            ("training.optim: 'galore_adamw' cannot be used", "galore_torch"),
        ),
        ({"optim_args": "words"}, ("training.optim_args: 'words' cannot be used",)),
        ({"optim": "adagrad", "optim_args": "words=3"}, ("training.optim_args: 'words=3' cannot be used",)),
        ({"optim_target_modules": ["dense"]}, ("training.optim_target_modules: ", "adamw_torch_fused has no")),
        ({"lr_scheduler_kwargs": {"power": 2}}, ("training.lr_scheduler_kwargs: {'power': 2} cannot be used", "power")),
        (
            {"lr_scheduler_type": "cosine", "lr_scheduler_kwargs": {"num_cycles": "many"}},
            ("training.lr_scheduler_kwargs: ", "cannot be used"),
        ),
        (
            {"lr_scheduler_type": "cosine", "lr_scheduler_kwargs": {"num_cycles": float("nan")}},
            ("training.lr_scheduler_kwargs: ", "of 'num_cycles': it is not finite"),
        ),
        ({"lr_scheduler_type": "warmup_stable_decay"}, ("training.lr_scheduler_type: ", "cannot be used")),
        ({"lr_scheduler_type": "cosine_with_min_lr"}, ("training.lr_scheduler_type: ", "min_lr")),
        ({"lr_scheduler_type": "reduce_lr_on_plateau"}, ("training.lr_scheduler_type: ", "eval strategy")),
        ({"dataloader_persistent_workers": True}, ("training.dataloader_persistent_workers: True", "num_workers")),
        ({"dataloader_prefetch_factor": 2}, ("training.dataloader_prefetch_factor: 2", "num_workers")),
        ({"ddp_backend": "gloo"}, ("training.ddp_backend: 'gloo'",)),
        ({"fp16": True, "use_cpu": True}, ("training.fp16: does nothing on a CPU", "bf16")),
        ({"bf16": True, "fp16": True, "use_cpu": True}, ("training.", "fp16 and bf16")),
    ],
    ids=str,
)
def test_what_cannot_be_made_is_named_before_anything_is_written(
    training: dict[str, Any], parts: tuple[str, ...], run_files: Path, tmp_path: Path, nothing_new: None
) -> None:
    with pytest.raises(ConfigError) as caught:
        prepared(run_files, tmp_path, training, trainer="transformers")
    message = str(caught.value)
    assert message.startswith(parts[0]) and "\n" not in message and len(message) < 500
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("training", "changes"),
    [
        ({}, {}),
        ({"gradient_accumulation_steps": 4}, {}),
        ({"group_by_length": False}, {}),
        ({"max_steps": 3}, {}),
        ({"per_device_train_batch_size": 240}, {"selection_size": 0.001}),  # one example selects, 239 are left
    ],
    ids=str,
)
def test_an_epoch_without_a_whole_batch_is_refused(
    training: dict[str, Any], changes: dict[str, Any], run_files: Path, tmp_path: Path, nothing_new: None
) -> None:
    training = {"dataloader_drop_last": True, "per_device_train_batch_size": 1000, **training}
    with pytest.raises(ConfigError) as caught:
        prepared(run_files, tmp_path, training, trainer="transformers", **changes)
    message, left = str(caught.value), 239 if changes else 216
    assert message.startswith("training.dataloader_drop_last: no whole batch is left: ") and "\n" not in message
    assert f"{left} examples" in message
    assert f"per_device_train_batch_size is {training['per_device_train_batch_size']}; lower that" in message


@pytest.mark.parametrize(
    ("training", "engine"),
    [
        ({"per_device_train_batch_size": 216}, {}),
        ({"per_device_train_batch_size": 1000, "dataloader_drop_last": False}, {}),
        ({"per_device_train_batch_size": 1000}, {"tokens_per_batch": 200}),
    ],
    ids=str,
)
def test_an_epoch_of_a_whole_batch_is_not(
    training: dict[str, Any], engine: dict[str, Any], run_files: Path, tmp_path: Path
) -> None:
    prepared(run_files, tmp_path, {"dataloader_drop_last": True, **training}, engine=engine, trainer="transformers")


def test_a_batch_of_several_processes_counts_whole(run_files: Path, tmp_path: Path) -> None:
    found = prepared(run_files, tmp_path, {"dataloader_drop_last": True, "per_device_train_batch_size": 200})
    stages = workbench_of(found).stages
    trainer = SimpleNamespace(args=copy.copy(stages.args), tokens_per_batch=None)
    _check_batches(trainer, 400)
    trainer.args.distributed_state = SimpleNamespace(num_processes=2)
    _check_batches(trainer, 400)
    with pytest.raises(ConfigError, match=r"is 200 in each of 2 processes; lower that"):
        _check_batches(trainer, 399)


def test_strategies_that_do_not_match_are_named(run_files: Path, tmp_path: Path, nothing_new: None) -> None:
    training = {"eval_strategy": "steps", "save_strategy": "epoch"}
    with pytest.raises(ConfigError, match=r"^training\.(save|eval)_strategy: .*strategy to match"):
        prepared(run_files, tmp_path, training, early_stopping_patience=2)


def test_a_run_that_is_fine_leaves_the_teacher_as_it_was(run_files: Path, tmp_path: Path) -> None:
    found = prepared(run_files, tmp_path, {"gradient_checkpointing": True})
    teacher, args = found.teacher, found.args
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    config = teacher.config.to_dict()
    workbench_of(found).rehearse()
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    assert teacher.config.to_dict() == config and args.output_dir == str(tmp_path / "out" / "checkpoints")
    assert not any(parameter.grad is not None for parameter in teacher.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in teacher.modules())
    assert not list(tmp_path.iterdir())


def test_a_twin_has_modules_of_its_own_over_the_same_weights() -> None:
    model = make_bert()
    other = twin(model)
    assert type(other) is type(model) and other.config is not model.config
    assert not {id(part) for part in model.modules()} & {id(part) for part in other.modules()}
    assert not {id(part) for part in model.parameters()} & {id(part) for part in other.parameters()}
    for mine, its in zip(model.parameters(), other.parameters(), strict=True):
        assert mine.data_ptr() == its.data_ptr() and mine.requires_grad == its.requires_grad
    ids = torch.arange(5, 12)[None]
    torch.testing.assert_close(other(ids).logits, model(ids).logits)


def test_tied_weights_stay_tied_in_a_twin() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(vocab_size=16, n_embd=8, n_layer=1, n_head=2, n_positions=8))
    other = twin(model)
    assert other.lm_head.weight is other.transformer.wte.weight is not model.lm_head.weight


def test_the_early_stopping_that_a_resolved_config_tells_is_that_of_its_run(run_files: Path, tmp_path: Path) -> None:
    training = {"eval_strategy": "steps", "eval_steps": 5, "save_steps": 5}
    found = prepared(run_files, tmp_path, training, early_stopping_patience=2, trainer="transformers")
    assert found.config.training["save_strategy"] == "steps" and found.args.load_best_model_at_end
    again = prepare(found.config, tmp_path / "out" / "checkpoints")
    assert again.config == found.config and again.args.save_strategy == "steps"


def test_evaluations_are_made_of_every_example(run_files: Path, tmp_path: Path) -> None:
    """`dataloader_drop_last` leaves out the last examples of a training epoch, and no example of an evaluation."""
    training = {"dataloader_drop_last": True, "per_device_eval_batch_size": 20}
    bench = workbench_of(prepared(run_files, tmp_path, training, trainer="transformers"))
    trainer = bench.evaluator(bench.teacher, "evaluation")
    assert sum(len(batch["labels"]) for batch in trainer.get_eval_dataloader()) == len(bench.selection_dataset)
    assert trainer.args.dataloader_drop_last


def test_a_way_to_start_workers_that_there_is_not_is_named(run_files: Path, tmp_path: Path, nothing_new: None) -> None:
    if "dataloader_multiprocessing_context" not in TrainingArguments.__dataclass_fields__:
        pytest.skip("transformers 5 brought the key")
    training = {"dataloader_num_workers": 1, "dataloader_multiprocessing_context": "words"}
    with pytest.raises(ConfigError, match=r"^training\.dataloader_multiprocessing_context: 'words' cannot be used"):
        prepared(run_files, tmp_path, training, trainer="transformers")
