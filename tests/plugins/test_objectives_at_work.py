"""Objectives of plug-ins that fail, or spoil what they are given: named, with an exit status."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from minidisc_plugin import CompressionConfig
from minidisc_plugin.contracts.distillation import DistillationConfig
from minidisc_plugin.foundation.errors import PluginError, PluginFailedError
from minidisc_plugin.plugins import pick
from minidisc_plugin.plugins.guarded import make_objective
from minidisc_plugin.run.preparation import prepare
from tests.plugins.acme import (
    giving,
    objective,
    raising,
    registered,
)
from tests.tasks.making import make_task_run


def made_objective() -> Any:
    found = pick("objective", "odd", "distillation.objective")
    return make_objective(found, DistillationConfig(), regression=False)


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (None, "None, which is no tensor"),
        (0.5, "0.5, which is no tensor"),
        ("loss", "'loss', which is no tensor"),
        (torch.zeros(3, requires_grad=True), "a tensor of shape (3,)"),
        (torch.zeros((), dtype=torch.int64), "type torch.int64"),
        (torch.zeros(()), "a tensor without gradient"),
        ((number for number in ()), "a generator, which nobody goes through"),
    ],
    ids=range(7),
)
def test_losses_that_are_none(result: object, told: str) -> None:
    with registered(objectives=[objective(__call__=giving(result))]):
        loss = made_objective()
        with pytest.raises(PluginFailedError, match=r"^plug-in acme: objective 'odd': its loss is ") as caught:
            loss(None, None, {})
    assert told in str(caught.value)


def test_objectives_that_fail() -> None:
    with registered(objectives=[objective(__call__=raising(SystemExit(0)), compared_states=giving([7]))]):
        loss = made_objective()
        with pytest.raises(PluginFailedError, match=r"objective 'odd', a loss, failed: SystemExit: 0$"):
            loss(None, None, {})
        with pytest.raises(PluginFailedError, match=r"objective 'odd': compared_states gave \[7\] of 3$"):
            loss.compared_states(3)
    odd = registered(objectives=[objective(__init__=raising(TypeError("no settings")))])
    with odd, pytest.raises(PluginError, match=r"objective 'odd', made, failed: TypeError: no settings$"):
        made_objective()
    odd = registered(objectives=[objective(__new__=giving(None))])
    with odd, pytest.raises(PluginError, match=r"objective 'odd': made None, which is no Objective"):
        made_objective()


ANSWERS: list[tuple[dict[str, Any], Callable[[Any], Any], str]] = [
    ({"make_network": giving(3)}, lambda odd: odd.make_network(None, None, None), "make_network gave 3, which is no"),
    ({"epochs_before": -1}, lambda odd: odd.epochs_before, "epochs_before is -1, which is no number of epochs"),
    ({"epochs_before": "x"}, lambda odd: odd.epochs_before, "epochs_before is 'x', which is no number of epochs"),
    ({"observes": ("a", "b")}, lambda odd: odd.observe(None, None, {}), "observe gave no tensor for each of a, b"),
    (
        {"loss_before": giving(0.5)},
        lambda odd: odd.loss_before(None, None, {}),
        "its loss before a stage is 0.5, which",
    ),
    ({"loss_before": raising(KeyError("x"))}, lambda odd: odd.loss_before(None, None, {}), "loss_before, failed"),
]


@pytest.mark.parametrize(("members", "ask", "told"), ANSWERS, ids=range(len(ANSWERS)))
def test_answers_that_are_none(members: dict[str, Any], ask: Callable[[Any], Any], told: str) -> None:
    with registered(objectives=[objective(**members)]), pytest.raises(PluginError) as caught:
        ask(made_objective())
    assert str(caught.value).startswith("plug-in acme: objective 'odd'") and told in str(caught.value)


def mse(student: Any, teacher: Any) -> torch.Tensor:
    return torch.nn.functional.mse_loss(student.logits, teacher.logits)


WRITERS: list[tuple[Callable[..., Any], str]] = [
    (lambda _, student, teacher, batch: (teacher.logits.mul_(0), mse(student, teacher))[1], "the teacher's outputs"),
    (lambda _, student, teacher, batch: (setattr(teacher, "logits", 1), student.logits.sum())[1], "the teacher's"),
    (lambda _, student, teacher, batch: (batch.clear(), mse(student, teacher))[1], "the batch"),
    (lambda _, student, teacher, batch: (batch["input_ids"].zero_(), mse(student, teacher))[1], "the batch"),
    (lambda _, student, teacher, batch: (batch.update(x=student.logits), mse(student, teacher))[1], "the batch"),
]
SECRET_WRITER = lambda _, student, teacher, batch: (teacher.logits.data.mul_(0), mse(student, teacher))[1]  # noqa: E731
CONSTANTS: list[Callable[..., Any]] = [
    lambda *_: torch.zeros((), requires_grad=True),
    lambda *_: torch.nn.Linear(2, 1)(torch.ones(2)).sum(),
    lambda _, student, teacher, batch: student.logits.detach().sum() * torch.ones((), requires_grad=True),
]


def outputs() -> tuple[Any, Any, dict[str, Any]]:
    """What an objective is given."""
    student, teacher = (SimpleNamespace(logits=torch.rand(3, 2), hidden_states=(torch.rand(3, 4),)) for _ in range(2))
    student.logits.requires_grad_()
    return student, teacher, {"input_ids": torch.ones(3, 5, dtype=torch.long)}


@pytest.mark.parametrize(("call", "told"), WRITERS, ids=range(len(WRITERS)))
def test_objectives_that_write_into_what_they_are_given(call: Any, told: str) -> None:
    with registered(objectives=[objective(__call__=call)]):
        with pytest.raises(PluginError, match=rf"^plug-in acme: objective 'odd': it writes into {told}") as caught:
            made_objective().rehearse(*outputs())
        assert caught.value.exit_status == 2
        with pytest.raises(PluginFailedError, match=rf"^plug-in acme: objective 'odd': it writes into {told}"):
            made_objective()(*outputs())


@pytest.mark.parametrize("call", [*CONSTANTS, SECRET_WRITER], ids=range(len(CONSTANTS) + 1))
def test_objectives_are_rehearsed(call: Any) -> None:
    told = "it writes into the teacher's" if call is SECRET_WRITER else "its loss depends on no weight of the student"
    odd = registered(objectives=[objective(__call__=call)])
    with odd, pytest.raises(PluginError, match=rf"^plug-in acme: objective 'odd': {told}"):
        made_objective().rehearse(*outputs())


class Backwards(torch.autograd.Function):
    """Has no gradient."""

    @staticmethod
    def forward(_: Any, given: torch.Tensor) -> torch.Tensor:
        return given.clone()

    @staticmethod
    def backward(_: Any, *gradients: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no way back")


def test_objectives_without_a_way_back() -> None:
    call = lambda _, student, *others: Backwards.apply(student.logits).sum()  # noqa: E731
    odd = registered(objectives=[objective(__call__=call)])
    with odd, pytest.raises(PluginError, match=r"objective 'odd', a gradient, failed: RuntimeError: no way back$"):
        made_objective().rehearse(*outputs())


def test_objectives_that_can_be_trained_by() -> None:
    for call in (
        lambda _, student, teacher, batch: mse(student, teacher),
        lambda _, student, teacher, batch: (teacher.logits.clone().zero_() - student.logits).square().mean(),
    ):
        with registered(objectives=[objective(__call__=call)]):
            made_objective().rehearse(*outputs())
            assert made_objective()(*outputs()).requires_grad


@pytest.mark.parametrize(
    ("task", "kind", "metric"),
    [
        ("token-classification", "token-classification", "seqeval"),
        ("question-answering", "question-answering", "squad"),
        ("text-generation", "llama", "bits_saved"),
        ("text2text-generation", "t5", "bits_saved"),
    ],
)
def test_a_sound_objective_is_rehearsed_in_each_task(task: str, kind: str, metric: str, tmp_path: Path) -> None:
    sound = objective(__call__=lambda _, student, teacher, batch: mse(student, teacher))
    changes = {"distillation": {"objective": "odd"}, "trainer": "transformers"}
    with registered(objectives=[sound]):
        prepare(
            CompressionConfig.model_validate(make_task_run(tmp_path, task, kind, metric, **changes)), tmp_path / "c"
        )
