"""Memory of training: bytes that can be counted by hand, and what autograd really keeps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from minidisc_plugin.run.config.file import read_config
from minidisc_plugin.run.plan.plan import make_plan
from minidisc_plugin.training.arguments import training_arguments
from minidisc_plugin.training.device_memory import activation_bytes, training_memory, weight_bytes
from tests.builders.tiny import make_batch, make_bert


class Squares(nn.Module):
    """Keeps the input of its projection and the output: two tensors of (examples, 8) singles."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 8)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return self.first(input_ids).pow(2)


def test_activations_are_what_autograd_keeps() -> None:
    model = Squares().eval()
    batch = {"input_ids": torch.ones(5, 8)}
    assert activation_bytes(model, batch) == 2 * 5 * 8 * 4
    assert not model.training and model.first.weight.grad is None


def test_activations_grow_with_examples() -> None:
    model = make_bert()
    batch = {name: value for name, value in make_batch(padded=False).items() if name != "labels"}
    one, two = ({name: value[:size] for name, value in batch.items()} for size in (1, 2))
    assert activation_bytes(model, two) == pytest.approx(2 * activation_bytes(model, one), rel=0.05)


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_trained_is_divided_and_the_teacher_is_not(devices: int, dtype: torch.dtype, tmp_path: Path) -> None:
    teacher, network = make_bert(layers=3).to(dtype), make_bert().to(dtype)
    args = training_arguments({"per_device_train_batch_size": 4, "use_cpu": True}, tmp_path)
    batch = {name: value for name, value in make_batch().items() if name != "labels"}
    memory = training_memory(teacher, network, batch, args, devices)
    width = torch.finfo(dtype).bits // 8
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert memory.teacher == weight_bytes(teacher) == width * sum(p.numel() for p in teacher.parameters())
    assert memory.network == memory.gradients == width * parameters // devices
    assert memory.optimizer == 2 * width * parameters // devices
    assert (memory.examples, memory.tokens, memory.devices) == (4, 12, devices)


def test_the_plan_tells_the_memory_of_the_largest_candidate(run_files: Path) -> None:
    plan = make_plan(read_config(run_files / "compression.yaml"))
    assert plan.memory.teacher == 4 * plan.teacher.parameters
    assert plan.memory.network == 4 * plan.candidates[0].parameters
    assert plan.memory.activations > 0 and plan.memory.examples == 24
    assert plan.memory.tokens == plan.timed_on.sequence_length
