"""`prepare_compression`, the pruning type and the loss, in a loop without Optimum."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from neural_compressor import training
from neural_compressor.config import DistillationConfig
from transformers import BertForTokenClassification, DataCollatorWithPadding

from minidisc_plugin.foundation.errors import ConfigError, UnsupportedModelError
from minidisc_plugin.integrations.inc import MiniDiscLossConfig, MiniDiscPruner, prepare_compression, slim
from minidisc_plugin.schedulers.fixed import Fixed
from tests.builders.script import examples, teacher_of
from tests.builders.tiny import make_batch, make_bert
from tests.integrations.inc.making import SETTINGS, arguments, distillation, pruning, script


def loop(manager: Any, batches: list[dict[str, torch.Tensor]], rate: float = 1e-3) -> list[float]:
    """The training loop of Neural Compressor's documentation."""
    model = manager.model.model
    optimizer = torch.optim.AdamW(model.parameters(), rate)
    losses = []
    manager.callbacks.on_train_begin()
    manager.callbacks.on_epoch_begin(0)
    for step, batch in enumerate(batches):
        manager.callbacks.on_step_begin(step)
        output = model(**batch)
        loss = manager.callbacks.on_after_compute_loss(batch, output, output.loss)
        loss = output.loss if loss is None or isinstance(loss, list) else loss
        loss.backward()
        manager.callbacks.on_before_optimizer_step()
        optimizer.step()
        manager.callbacks.on_after_optimizer_step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    manager.callbacks.on_epoch_end()
    manager.callbacks.on_train_end()
    return losses


def scheduling(files: Path, folder: Path) -> dict[str, Any]:
    parts = script(files, folder)
    return {name: parts[name] for name in ("train_dataset", "args", "compute_metrics", "processing_class")}


def batches_of(files: Path, size: int = 24) -> list[dict[str, torch.Tensor]]:
    parts = script(files, files)
    rows = list(examples(files))
    collate = DataCollatorWithPadding(parts["processing_class"])
    return [dict(collate(rows[start : start + size])) for start in range(0, len(rows), size)]


def pruned(sparsity: float, steps: int = 6, **settings: Any) -> tuple[Any, MiniDiscPruner]:
    """A model pruned by the type `minidisc` over some steps, and its pruner."""
    chosen = {"pruning_type": "minidisc", "parameters": {"head_size": 8}, "start_step": 0, "end_step": 4, **settings}
    manager = training.prepare_compression(make_bert(labels=3, layers=3), pruning(sparsity, **chosen))
    loop(manager, [make_batch(seed=step) for step in range(steps)])
    (pruner,) = manager.callbacks.callbacks_list[0].pruners
    return manager.model.model, pruner


def test_without_a_scheduler_it_is_neural_compressors(run_files: Path) -> None:
    teacher = teacher_of(run_files)
    manager = prepare_compression(teacher, distillation(teacher_of(run_files)))
    assert type(manager) is training.CompressionManager
    assert manager.model.model is teacher


@pytest.mark.parametrize("as_list", [True, False])
def test_the_assistant_is_the_teacher_of_the_manager(run_files: Path, tmp_path: Path, as_list: bool) -> None:
    config = DistillationConfig(teacher_model=teacher_of(run_files), criterion=MiniDiscLossConfig())
    manager = prepare_compression(
        teacher_of(run_files),
        [config, pruning(0.5)] if as_list else config,
        scheduler="minidisc",
        scheduler_config=SETTINGS,
        **scheduling(run_files, tmp_path),
    )
    assert type(manager) is training.CompressionManager
    assert config.teacher_model is manager.schedule.assistant
    assert manager.model.model is manager.schedule.student
    assert len(manager.callbacks.callbacks_list) == 1 + as_list
    if not as_list:
        losses = loop(manager, batches_of(run_files) * 2)
        assert sum(losses[-3:]) < sum(losses[:3])


def test_without_a_distillation_config_the_papers_loss_is_used(run_files: Path, tmp_path: Path) -> None:
    manager = prepare_compression(
        teacher_of(run_files), [], scheduler=Fixed(target_sparsity=0.8), **scheduling(run_files, tmp_path)
    )
    (callback,) = manager.callbacks.callbacks_list
    assert type(callback.criterion).__name__ == "MiniDiscLoss"
    assert callback.teacher_model.model is manager.schedule.assistant


def test_what_a_scheduler_needs_is_asked_for(run_files: Path, tmp_path: Path) -> None:
    given = scheduling(run_files, tmp_path)
    for name in ("train_dataset", "args", "compute_metrics"):
        with pytest.raises(ConfigError, match=f"^{name}: missing"):
            prepare_compression(
                teacher_of(run_files),
                pruning(0.8),
                scheduler="minidisc",
                scheduler_config={"candidates": [0.5]},
                **{**given, name: None},
            )
    with pytest.raises(ConfigError, match="scheduler_config: the scheduler is an object"):
        prepare_compression(
            teacher_of(run_files),
            pruning(0.8),
            scheduler=Fixed(target_sparsity=0.8),
            scheduler_config={"scale": 0.5},
            args=arguments(tmp_path),
        )


def test_a_task_that_the_host_cannot_distil_is_refused(run_files: Path, tmp_path: Path) -> None:
    config = make_bert().config
    with pytest.raises(UnsupportedModelError, match="BertForTokenClassification is for task token-classification"):
        prepare_compression(
            BertForTokenClassification(config),
            [],
            scheduler=Fixed(target_sparsity=0.8),
            **scheduling(run_files, tmp_path),
        )


@pytest.mark.parametrize("sparsity", [0.25, 0.5, 0.75])
def test_the_pruning_type_reaches_its_sparsity_in_whole_units(sparsity: float) -> None:
    model, pruner = pruned(sparsity)
    heads = sum(int(units.kept.sum()) for units in pruner.units[0])
    neurons = sum(int(units.kept.sum()) for units in pruner.units[1])
    assert heads == round((1 - sparsity) * 12) and neurons == round((1 - sparsity) * 192)
    assert pruner.pattern.get_sparsity_ratio(pruner.masks) == pytest.approx(sparsity, abs=0.01)
    for layer, units in zip(model.bert.encoder.layer, pruner.units[0], strict=True):
        weight = layer.attention.self.query.weight.reshape(4, 8, 32)
        assert ((weight == 0).all(dim=(1, 2)) == ~units.kept).all()
    assert (model.bert.pooler.dense.weight == 0).sum() == 0


def test_pruning_follows_the_schedule_and_never_gives_back() -> None:
    chosen = {"pruning_type": "minidisc", "parameters": {"head_size": 8}, "sparsity_decay_type": "linear"}
    manager = training.prepare_compression(
        make_bert(labels=3), pruning(0.8, **{**chosen, "start_step": 1, "end_step": 5})
    )
    (pruner,) = manager.callbacks.callbacks_list[0].pruners
    seen: list[tuple[float, torch.Tensor]] = []
    update = pruner.update_masks

    def watch(local_step: int) -> None:
        update(local_step)
        seen.append((pruner.current_sparsity_ratio, pruner.units[1][0].kept.clone()))

    pruner.update_masks = watch
    loop(manager, [make_batch(seed=step) for step in range(8)])
    sparsities = [sparsity for sparsity, _ in seen]
    assert sparsities[:2] == [0.0, 0.0] and sparsities[-1] == pytest.approx(0.8, abs=0.03)
    assert sparsities == sorted(sparsities) and len(set(sparsities)) > 3
    for (_, before), (_, after) in itertools.pairwise(seen):
        assert not (after & ~before).any()


def test_pruning_at_once_waits_for_a_gradient() -> None:
    _, pruner = pruned(0.5, steps=2, start_step=0, end_step=0)
    assert pruner.pattern.get_sparsity_ratio(pruner.masks) == pytest.approx(0.5, abs=0.01)


def test_importance_is_the_gradient_of_a_mask() -> None:
    manager = training.prepare_compression(
        make_bert(labels=3),
        pruning(0.5, pruning_type="minidisc", parameters={"head_size": 8}, start_step=9, end_step=9),
    )
    (pruner,) = manager.callbacks.callbacks_list[0].pruners
    model, batch = manager.model.model.eval(), make_batch()
    mask = torch.ones(64, requires_grad=True)
    dense = model.bert.encoder.layer[1].output.dense
    handle = dense.register_forward_pre_hook(lambda module, args: (args[0] * mask,))
    (expected,) = torch.autograd.grad(model(**batch).loss, mask)
    handle.remove()
    model(**batch).loss.backward()
    manager.callbacks.on_before_optimizer_step()
    assert torch.allclose(pruner.units[1][1].scores.float(), expected.abs(), atol=1e-6)


@pytest.mark.parametrize("sparsity", [0.5, 0.9])
def test_the_slim_model_computes_what_the_masked_one_does(sparsity: float, tmp_path: Path) -> None:
    model, pruner = pruned(sparsity)
    small, batch = slim(model), make_batch(seed=77)
    assert small.config.layer_sizes["neurons"] == [int(units.kept.sum()) for units in pruner.units[1]]
    with torch.no_grad():
        assert torch.allclose(small(**batch).logits, model.eval()(**batch).logits, atol=1e-5)
    small.save_pretrained(tmp_path)
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "parameters.head_size: None cannot be used"),
        ({"parameters": {"head_size": 7}}, "parameters.head_size: 7 does not divide"),
        ({"parameters": {"head_size": 8}, "op_names": ["query"]}, "found no whole layer"),
    ],
    ids=str,
)
def test_what_the_pruning_type_cannot_use_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        training.prepare_compression(make_bert(), pruning(0.5, pruning_type="minidisc", **settings))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "settings", [{"temperature": 0}, {"loss_weights": [0.5, 0.6]}, {"loss_weights": [1.0]}], ids=str
)
def test_settings_of_the_loss_are_checked(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="cannot be used"):
        MiniDiscLossConfig(**settings)


def test_the_loss_needs_the_teacher_to_run(run_files: Path) -> None:
    student, teacher = teacher_of(run_files), teacher_of(run_files)
    manager = training.prepare_compression(
        student, DistillationConfig(teacher_model=teacher, criterion=MiniDiscLossConfig())
    )
    (callback,) = manager.callbacks.callbacks_list
    batch = batches_of(run_files)[0]
    output = student(**batch)
    with pytest.raises(ValueError, match="teacher_logits"):
        callback.criterion.teacher_student_loss_cal(output.logits, output.logits)
