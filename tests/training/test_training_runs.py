"""Whole training runs: the loss falls, every scale is measured, a run cut off is taken up where it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import Trainer, TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

import minidisc_plugin
from minidisc_plugin import NestedModel
from minidisc_plugin.metrics import build_compute_metrics
from minidisc_plugin.training.distil import DistillationTrainer
from tests.training.making import SCALES, Bench, distillation_loss, make_nested, make_teacher, weights


def losses_of(nested: NestedModel, bench: Bench) -> list[float]:
    """The distillation loss of every scale, without dropout."""
    nested.model.eval()
    found, present = [], nested.scale
    for scale in SCALES:
        nested.set_scale(scale)
        with torch.no_grad():
            found.append(distillation_loss(nested, make_teacher(), bench.collated()).item())
    nested.set_scale(present)
    return found


@pytest.mark.parametrize("random_scales", [None, 1])
@pytest.mark.parametrize("trimmed", [False, True])
def test_every_scale_learns(bench: Bench, random_scales: int | None, trimmed: bool) -> None:
    nested = make_nested()
    if trimmed:
        nested.trim(max(SCALES))
    before = losses_of(nested, bench)
    bench.sandwich(nested, random_scales, max_steps=10, learning_rate=5e-3).train()
    assert nested.scale == nested.largest_scale
    after = losses_of(nested, bench)
    assert all(late < 0.8 * early for early, late in zip(before, after, strict=True))


def test_a_student_learns_and_stays_narrow(bench: Bench) -> None:
    student = make_nested().extract(0.3)
    shapes = {name: value.shape for name, value in student.state_dict().items()}
    teacher, batch = make_teacher(), bench.collated()
    before = distillation_loss(student, teacher, batch).item()
    bench.distil(student, max_steps=10, learning_rate=5e-3).train()
    assert distillation_loss(student.eval(), teacher, batch).item() < 0.8 * before
    assert {name: value.shape for name, value in student.state_dict().items()} == shapes


def test_evaluation_measures_every_scale_and_their_mean(bench: Bench) -> None:
    measured = {"eval_dataset": bench.dataset, "compute_metrics": build_compute_metrics("accuracy", regression=False)}
    nested = make_nested()
    with torch.no_grad():  # put the decision amid the examples, so that scales disagree about some
        margins = nested(**bench.collated()).logits.diff(dim=-1)
        nested.model.classifier.bias[0] += margins.median()
    trainer = bench.sandwich(nested, trainer=measured)
    nested.set_scale(0.5)
    found = trainer.evaluate()
    assert nested.scale == nested.largest_scale
    for name in ("eval_accuracy", "eval_loss"):
        expected = {}
        for scale in SCALES:
            plain = Trainer(
                nested.extract(scale), args=bench.arguments(), data_collator=trainer.data_collator, **measured
            )
            expected[scale] = plain.evaluate()[name]
            assert found[f"{name}@{scale:g}"] == pytest.approx(expected[scale], abs=1e-5)
        assert found[name] == pytest.approx(sum(expected.values()) / 4, abs=1e-5)
        assert len({round(value, 4) for value in expected.values()}) > 1, "scales cannot be told apart"
    assert {name for name in found if "@" in name and "accuracy" in name} == {f"eval_accuracy@{s:g}" for s in SCALES}


def test_a_dropped_scale_counts_with_what_it_had_last(bench: Bench) -> None:
    measured = {"eval_dataset": bench.dataset, "compute_metrics": build_compute_metrics("accuracy", regression=False)}
    nested = make_nested()
    trainer = bench.sandwich(nested, trainer=measured)
    first = trainer.evaluate()
    dropped, left = SCALES[0], SCALES[1:]
    trainer.sampler.drop([dropped])
    again = trainer.evaluate()
    for name in ("eval_accuracy", "eval_loss"):
        assert again[name] == pytest.approx(first[name], abs=1e-6), "nothing was trained, so nothing is better or worse"
        assert f"{name}@{dropped:g}" not in again
    with torch.no_grad():
        nested.model.classifier.bias[1] += 9  # all are of one class now
    changed = trainer.evaluate()
    for name in ("eval_accuracy", "eval_loss"):
        expected = [first[f"{name}@{dropped:g}"], *(changed[f"{name}@{scale:g}"] for scale in left)]
        assert changed[name] == pytest.approx(sum(expected) / 4, abs=1e-6)
        assert changed[name] != pytest.approx(first[name], abs=1e-6)


def test_evaluation_of_a_student_is_that_of_a_plain_trainer(bench: Bench) -> None:
    measured = {"eval_dataset": bench.dataset, "compute_metrics": build_compute_metrics("accuracy", regression=False)}
    student = make_nested().extract(0.5)
    trainer = bench.distil(student, trainer=measured)
    plain = Trainer(student, args=bench.arguments(), data_collator=trainer.data_collator, **measured)
    found, expected = trainer.evaluate(), plain.evaluate()
    assert found["eval_loss"] == pytest.approx(expected["eval_loss"])
    assert found["eval_accuracy"] == expected["eval_accuracy"]


def test_the_best_epoch_is_kept_by_the_mean_of_the_scales(bench: Bench) -> None:
    nested = make_nested()
    compute_metrics = build_compute_metrics("accuracy", regression=False)
    trainer = bench.sandwich(
        nested,
        trainer={"eval_dataset": bench.dataset, "compute_metrics": compute_metrics},
        num_train_epochs=3,
        eval_strategy="epoch",
        save_strategy="epoch",
        learning_rate=3e-2,
    )
    trainer.args.load_best_model_at_end = True
    trainer.args.metric_for_best_model = "accuracy"
    trainer.args.greater_is_better = True
    trainer.train()
    means = [entry["eval_accuracy"] for entry in trainer.state.log_history if "eval_accuracy" in entry]
    assert len(means) == 3
    assert trainer.state.best_metric == max(means)
    assert trainer.evaluate()["eval_accuracy"] == pytest.approx(max(means))


class CutOff(TrainerCallback):
    """Ends the process's part of a run, as far as training can tell."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


def make_trainer(kind: str, bench: Bench, **parts: Any) -> tuple[nn.Module, DistillationTrainer]:
    settings = {"max_steps": 10, "save_strategy": "steps", "save_steps": 2, "learning_rate": 3e-3}
    if kind == "student":
        student = make_nested().extract(0.3)
        return student, bench.distil(student, trainer=parts, **settings)
    nested = make_nested()
    nested.trim(max(SCALES))
    return nested.model, bench.sandwich(nested, 1, trainer=parts, **settings)


# Six steps are an epoch: within the first, at the end of it, and within the second.
@pytest.mark.parametrize(("kind", "cut_off"), [("sandwich", 3), ("student", 7), ("sandwich", 9)])
def test_a_run_taken_up_again_ends_as_one_that_was_not_cut_off(kind: str, cut_off: int, bench: Bench) -> None:
    whole = bench.folder / "whole"
    model, trainer = make_trainer(kind, bench)
    trainer.args.output_dir = str(whole)
    trainer.train()
    expected = weights(model)

    _, trainer = make_trainer(kind, bench, callbacks=[CutOff(cut_off)])
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    checkpoint = get_last_checkpoint(str(bench.folder))
    assert checkpoint is not None and Path(checkpoint).name == f"checkpoint-{cut_off - 1}"
    model, trainer = make_trainer(kind, bench)
    untrained = weights(model)
    trainer.train(resume_from_checkpoint=checkpoint)
    assert trainer.state.global_step == 10
    for name, value in weights(model).items():
        torch.testing.assert_close(value, expected[name], atol=1e-6, rtol=0)
        assert name.endswith("key.bias") or not torch.equal(value, untrained[name])


@pytest.mark.parametrize("unwrapped", [True, False])
def test_slices_of_a_network_trained_in_mixed_precision(bench: Bench, unwrapped: bool, tmp_path: Path) -> None:
    nested = make_nested()
    computed_in: set[torch.dtype] = set()
    projection = nested.model.bert.encoder.layer[0].intermediate.dense
    handle = projection.register_forward_hook(lambda _, __, output: computed_in.add(output.dtype))
    before = losses_of(nested, bench)
    computed_in.clear()
    trainer = bench.sandwich(nested, max_steps=10, bf16=True, learning_rate=5e-3)
    trainer.train()
    handle.remove()
    assert computed_in == {torch.bfloat16}
    assert {parameter.dtype for parameter in nested.parameters()} == {torch.float32}
    if unwrapped:
        trainer.accelerator.unwrap_model(trainer.model_wrapped, keep_fp32_wrapper=False)
    assert all(late < early for early, late in zip(before, losses_of(nested, bench), strict=True))
    nested.set_scale(0.5)
    nested.model.eval()
    batch = bench.collated()
    student = nested.extract(0.5)
    student.save_pretrained(tmp_path / "student")
    with torch.no_grad():
        expected = nested(**batch).logits
        torch.testing.assert_close(student(**batch).logits, expected, atol=1e-5, rtol=0)
        for parameter in nested.parameters():
            parameter.zero_()
        torch.testing.assert_close(student(**batch).logits, expected, atol=1e-5, rtol=0)
        loaded = minidisc_plugin.load(tmp_path / "student")(**batch).logits
        torch.testing.assert_close(loaded, expected, atol=1e-5 if unwrapped else 3e-2, rtol=0)
