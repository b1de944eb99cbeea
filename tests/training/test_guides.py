"""`distillation.guide`: the student follows the assistant, the teacher, or the mean of both."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from minidisc_plugin.contracts.scheduler import PlannedStage
from minidisc_plugin.run.plan.stages import guided
from minidisc_plugin.training.guides import mean_of_guides
from tests.builders.tiny import make_bert
from tests.training.making import OBJECTIVE, PLAIN_STEP, STILL, Bench, make_nested, make_teacher, weights
from tests.training.test_teacher_cache import make_cache


def outputs(seed: int, *shape: int) -> SimpleNamespace:
    generator = torch.Generator().manual_seed(seed)
    return SimpleNamespace(logits=5 * torch.randn(*shape, generator=generator), hidden_states="the teacher's")


def test_the_mean_is_of_probabilities() -> None:
    teacher, assistant = outputs(0, 6, 4), outputs(1, 6, 4)
    mixed = mean_of_guides(teacher, assistant, regression=False)
    expected = (teacher.logits.softmax(-1) + assistant.logits.softmax(-1)) / 2
    torch.testing.assert_close(mixed.logits.softmax(-1), expected)
    assert mixed.hidden_states == "the teacher's"
    assert not torch.equal(mixed.logits, teacher.logits), "the teacher's own output is left as it was"


def test_the_mean_of_a_regression_is_of_values() -> None:
    teacher, assistant = outputs(0, 6, 1), outputs(1, 6, 1)
    mixed = mean_of_guides(teacher, assistant, regression=True)
    torch.testing.assert_close(mixed.logits, (teacher.logits + assistant.logits) / 2)


def test_classes_that_do_not_exist_take_no_share() -> None:
    teacher, assistant = outputs(0, 5, 7), outputs(1, 5, 7)
    mask = torch.ones(5, 7).bool()
    mask[:, 5:] = False
    mixed = mean_of_guides(teacher, assistant, regression=False, mask=mask)
    fewer = mean_of_guides(
        SimpleNamespace(logits=teacher.logits[:, :5]), SimpleNamespace(logits=assistant.logits[:, :5]), regression=False
    )
    torch.testing.assert_close(mixed.logits[:, :5].softmax(-1), fewer.logits.softmax(-1))


def test_logits_themselves_keep_their_place() -> None:
    # A model with itself is itself, which squared errors of logits see.
    teacher = outputs(0, 6, 4)
    torch.testing.assert_close(mean_of_guides(teacher, teacher, regression=False).logits, teacher.logits)
    mask = torch.ones(6, 4).bool()
    mask[:3, 0] = mask[3:, 3] = False
    mixed = mean_of_guides(teacher, teacher, regression=False, mask=mask).logits
    torch.testing.assert_close(mixed[mask], teacher.logits[mask])
    assert torch.isfinite(mixed).all(), "where no class is, a squared error would spoil gradients"


def test_labels_of_a_multi_label_model_stay_against_zero() -> None:
    teacher, assistant = outputs(0, 9, 2), outputs(1, 9, 2)
    teacher.logits[:, 0] = assistant.logits[:, 0] = 0.0
    mixed = mean_of_guides(teacher, assistant, regression=False).logits
    chance = (teacher.logits[:, 1].sigmoid() + assistant.logits[:, 1].sigmoid()) / 2
    torch.testing.assert_close(mixed, torch.stack([torch.zeros(9), chance.logit()], dim=1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("cached", [(False, False), (True, True), (True, False), (False, True)])
def test_a_step_follows_both(bench: Bench, tmp_path: Path, cached: tuple[bool, bool]) -> None:
    student, twin = make_nested(**STILL).extract(0.5), make_nested(**STILL).extract(0.5)
    teacher, assistant = make_teacher(), make_bert(labels=2, seed=8)
    caches = [
        make_cache(bench, tmp_path / str(place), model) if wanted else None
        for place, (wanted, model) in enumerate(zip(cached, (teacher, assistant), strict=True))
    ]
    trainer = bench.distil(
        student,
        trainer={"teacher": teacher, "cache": caches[0], "beside": assistant, "beside_cache": caches[1]},
        per_device_train_batch_size=48,
        max_steps=1,
        **PLAIN_STEP,
    )
    trainer.train()

    batch = bench.collated()
    features = {name: value for name, value in batch.items() if name != "labels"}
    with torch.no_grad():
        guide, beside = (model(**features, output_hidden_states=True) for model in (teacher, assistant))
        guide.logits = ((guide.logits.softmax(-1) + beside.logits.softmax(-1)) / 2).log()
    OBJECTIVE(twin(**features, output_hidden_states=True), guide, batch).backward()
    for (name, found), parameter in zip(weights(student).items(), twin.parameters(), strict=True):
        expected = parameter.detach() - (0 if parameter.grad is None else parameter.grad)
        torch.testing.assert_close(found, expected, atol=2e-3 if any(cached) else 1e-5, rtol=0, msg=name)


def test_stages_that_follow_an_assistant_are_guided() -> None:
    sandwich = PlannedStage("sandwich", 1.0, {0.5: 1.0, 0.1: 1.0})
    student, direct = PlannedStage("student", 0.5, {0.1: 1.0}), PlannedStage("student", 1.0, {0.1: 1.0})
    followed = {
        guide: [stage.followed for stage in guided([sandwich, student, direct], guide, 0.1)]
        for guide in ("assistant", "teacher", "both")
    }
    assert followed == {
        "assistant": [{1.0}, {0.5}, {1.0}],
        "teacher": [{1.0}, {1.0}, {1.0}],
        "both": [{1.0}, {1.0, 0.5}, {1.0}],
    }
