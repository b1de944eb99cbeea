"""Artefacts that cannot be loaded, or answer amiss: named in one line before they are scored."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from minidisc_plugin.contracts.artefact import Artefact
from minidisc_plugin.foundation.errors import PluginFailedError
from minidisc_plugin.run.measuring.artefacts import Loaded, metric_of, noted_shapes
from minidisc_plugin.tasks.text_classification import TextClassification
from tests.builders.tiny import make_bert

BATCHES = [{"input_ids": torch.ones(count, 5, dtype=torch.long)} for count in (4, 3)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_file({"weight": torch.zeros(1)}, tmp_path / "model.safetensors")
    return tmp_path


def loaded(folder: Path, load: Callable[[Path], Any], owner: str | None = "acme 1.0") -> Loaded:
    return Loaded(Artefact("student", "acme", "acme", folder, load, owner))


def metric(model: Loaded) -> float:
    """What the report says of it, where each batch scores one."""
    task = TextClassification()

    def score(scored: Any, _: Any) -> dict[str, float]:
        with torch.inference_mode():
            return {"scored": float(sum(len(task.logits(scored(**batch), batch)) > 0 for batch in BATCHES))}

    bench: Any = SimpleNamespace(scores_in_runtime=score, metric="scored")
    prepared = SimpleNamespace(task=task, splits=SimpleNamespace(report=None))
    student = make_bert()
    with noted_shapes(student, task) as shapes:
        score(student, None)
    return metric_of(SimpleNamespace(bench=bench, prepared=prepared), model, shapes)  # type: ignore[arg-type]


async def later(*_: Any, **__: Any) -> None:
    """Never runs."""


@pytest.mark.parametrize(
    ("load", "told"),
    [
        (lambda _: None, "load gave None, which cannot be called"),
        (lambda _: {"logits": 1}, "load gave {'logits': 1}, which cannot be called"),
        (later, "load gave a coroutine, which nobody awaits"),
        (lambda folder: (folder / "gone").read_text(), "load, failed: "),
        (lambda _: exec("raise SystemExit(0)"), "load, failed: SystemExit: 0"),
    ],
    ids=range(5),
)
def test_artefacts_that_cannot_be_loaded(load: Any, told: str, folder: Path) -> None:
    with pytest.raises(PluginFailedError, match=r"^plug-in acme 1\.0: artefact 'student, acme'") as caught:
        loaded(folder, load)
    assert told in str(caught.value) and caught.value.exit_status == 1


@pytest.mark.parametrize("name", ["gone", "empty"])
def test_artefacts_without_weights(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PluginFailedError, match=rf"^plug-in acme 1\.0: artefact 'student, acme': .*{name}"):
        loaded(tmp_path / name, lambda _: make_bert())


def answering(logits: Callable[[int], Any]) -> Callable[[Path], Any]:
    return lambda _: lambda input_ids: {"logits": logits(len(input_ids))}


@pytest.mark.parametrize(
    ("load", "told"),
    [
        (lambda _: lambda **_: None, "a batch gives None, which holds no logits by name"),
        (lambda _: lambda **_: {"scores": 1}, "a batch gives {'scores': 1}, which holds no logits by name"),
        (lambda _: later, "a batch gives a coroutine, which nobody awaits"),
        (lambda _: lambda **_: 1 / 0, "a batch, failed: ZeroDivisionError: division by zero"),
        (lambda _: lambda x: x, "a batch, failed: TypeError"),
        (answering(lambda rows: torch.zeros(1, 2)), r"its logits have the shape (1, 2); the student's have (4, 2)"),
        (answering(lambda rows: torch.zeros(rows, 7)), r"its logits have the shape (4, 7)"),
        (answering(lambda rows: np.zeros((rows, 2, 1))), r"its logits have the shape (4, 2, 1)"),
        (answering(lambda rows: torch.zeros(4, 2)), r"its logits have the shape (4, 2); the student's have (3, 2)"),
        (answering(lambda rows: [["a", "b"]] * rows), "holds no logits by name"),
        (answering(lambda rows: None), "holds no logits by name"),
        (answering(lambda rows: torch.zeros(rows, 2) > 0), "its logits are torch.bool, and no real numbers"),
        (answering(lambda rows: torch.zeros(rows, 2) * 1j), "its logits are torch.complex64, and no real numbers"),
    ],
    ids=range(13),
)
def test_artefacts_that_answer_amiss(load: Any, told: str, folder: Path) -> None:
    with pytest.raises(PluginFailedError, match=r"^plug-in acme 1\.0: artefact 'student, acme'") as caught:
        metric(loaded(folder, load))
    assert told in str(caught.value) and caught.value.exit_status == 1 and "\n" not in str(caught.value)


def test_artefacts_that_answer_as_they_should(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    sound = [answering(lambda rows: torch.zeros(rows, 2)), answering(lambda rows: np.zeros((rows, 2), np.float16))]
    for load in (*sound, lambda _: make_bert()):
        for owner in ("acme 1.0", None):
            assert metric(loaded(folder, load, owner)) == len(BATCHES)
    assert not caplog.records


def test_an_artefact_that_gives_no_numbers_is_told(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for owner, named in (("acme 1.0", "plug-in acme 1.0: artefact"), (None, "artefact")):
        with caplog.at_level(logging.WARNING, "minidisc_plugin"):
            metric(loaded(folder, answering(lambda rows: torch.full((rows, 2), torch.nan if rows == 3 else 0)), owner))
        line = caplog.records[-1].getMessage()
        assert line == f"{named} 'student, acme': its logits are NaN in 1 of 2 batches, so its metric says nothing"
