"""Neural Compressor reads weights again from the folder that a model names: they must be that model's."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from neural_compressor.torch.quantization import RTNConfig, quantize
from torch import Tensor
from transformers import PreTrainedModel

from minidisc_plugin import NestedModel, load
from tests.builders.tiny import make_batch, make_bert

BATCH = make_batch()


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neural Compressor keeps a workspace in the folder that it works in."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=[1.0, 0.5], ids=["the teacher's shapes", "half"])
def student(request: pytest.FixtureRequest, tmp_path: Path) -> PreTrainedModel:
    """A slice of a loaded teacher that was trained on, so that its weights are nobody else's."""
    make_bert(labels=3).save_pretrained(tmp_path / "teacher")
    student = NestedModel(load(tmp_path / "teacher")).extract(request.param)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return student


def logits(model: PreTrainedModel) -> Tensor:
    with torch.no_grad():
        return model(**BATCH).logits  # type: ignore[no-any-return]


def quantized(model: PreTrainedModel, *, layer_by_layer: bool) -> PreTrainedModel:
    config = RTNConfig(bits=8, group_size=-1, use_layer_wise=layer_by_layer)
    return quantize(copy.deepcopy(model), config)  # type: ignore[no-any-return]


def test_a_student_that_was_not_saved_is_quantized_from_memory(student: PreTrainedModel) -> None:
    torch.testing.assert_close(logits(quantized(student, layer_by_layer=False)), logits(student), atol=0.02, rtol=0)
    with pytest.raises(AttributeError, match="path"):  # Neural Compressor's way to say that there is no folder
        quantized(student, layer_by_layer=True)


@pytest.mark.parametrize("loaded", [False, True])
def test_a_saved_student_is_quantized_from_its_own_folder(
    student: PreTrainedModel, loaded: bool, tmp_path: Path
) -> None:
    student.save_pretrained(tmp_path / "student")
    held = load(tmp_path / "student") if loaded else student
    torch.testing.assert_close(logits(quantized(held, layer_by_layer=True)), logits(student), atol=0.02, rtol=0)
