"""`knowledge_distillation` is Neural Compressor's own loss, where that is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional
from transformers.modeling_outputs import SequenceClassifierOutput

from minidisc_plugin.contracts.distillation import DistillationConfig
from minidisc_plugin.objectives import KnowledgeDistillation

LABELS = torch.tensor([0, 2, 1, 1, 0])


@pytest.fixture(scope="module")
def criterion(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Neural Compressor's class; it may leave a folder where it is imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("neural_compressor"))
        pytest.importorskip("neural_compressor")
        module = pytest.importorskip("neural_compressor.compression.distillation.criterions")
    return module.PyTorchKnowledgeDistillationLoss


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.25, 0.75), (0.0, 1.0), (1.0, 0.0)], ids=str)
@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("of_teacher", ["CE", "KL", "MSE"])
@pytest.mark.parametrize("of_labels", ["CE", "MSE"])
def test_the_loss_is_that_of_neural_compressor(
    criterion: Any, of_labels: str, of_teacher: str, temperature: float, weights: tuple[float, float]
) -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = (2 * torch.randn(5, 3, generator=generator) for _ in range(2))
    theirs = criterion(temperature=temperature, loss_types=[of_labels, of_teacher], loss_weights=list(weights))
    targets = LABELS if of_labels == "CE" else functional.one_hot(LABELS, 3).float()
    expected = theirs.loss_cal_sloss(student.clone(), teacher.clone(), theirs(student, targets))
    settings = DistillationConfig(temperature=temperature, loss_types=(of_labels, of_teacher), loss_weights=weights)
    found = KnowledgeDistillation(settings, regression=False)(
        SequenceClassifierOutput(logits=student), SequenceClassifierOutput(logits=teacher), {"labels": LABELS}
    )
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


def test_the_usual_loss_is_that_of_neural_compressor(criterion: Any) -> None:
    generator = torch.Generator().manual_seed(1)
    student, teacher = (torch.randn(5, 3, generator=generator) for _ in range(2))
    theirs = criterion()
    expected = theirs.loss_cal_sloss(student.clone(), teacher.clone(), theirs(student, LABELS))
    found = KnowledgeDistillation(DistillationConfig(), regression=False)(
        SequenceClassifierOutput(logits=student), SequenceClassifierOutput(logits=teacher), {"labels": LABELS}
    )
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
