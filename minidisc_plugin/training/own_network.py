"""What an objective learns beside a student: a part of the student while a stage trains, and gone afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from minidisc_plugin.foundation.processes import mean_over_processes

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel

    from minidisc_plugin.contracts.objective import Objective

NAME = "distillation_objective"
# Where DistributedDataParallel finds the names of what it leaves alone.
_IGNORED = "_ddp_params_and_buffers_to_ignore"


class Lesson(nn.Module):
    """The network of an objective by itself, as the stage before trains it.

    Args:
        network: What is trained.
        objective: Computes the loss by it; none where weights are loaded only.
    """

    def __init__(self, network: nn.Module, objective: Objective | None = None) -> None:
        super().__init__()
        self.network = network
        self._objective = objective

    def forward(self, student: Any, teacher: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The loss of a batch."""
        if self._objective is None:
            raise TypeError("a lesson without an objective has no loss")
        return self._objective.loss_before(student, teacher, batch)


def equipped(
    objective: Objective,
    student: PreTrainedModel,
    teacher: PreTrainedModel,
    examples: Dataset,
    seed: int,
    weights: Path | None = None,
) -> Objective:
    """The objective with its network for a stage, if it has one.

    Args:
        objective: Of the run.
        student: What the stage trains.
        teacher: What it follows.
        examples: All that may be trained on.
        seed: Of the network's first weights; the generators of everything else are left as they are.
        weights: What the stage before left of the network.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = objective.make_network(student, teacher, examples)
    if network is None:
        return objective
    if weights is not None:
        from safetensors.torch import load_model

        load_model(Lesson(network), weights)
    return objective.with_network(network)


def attach(model: nn.Module, objective: Objective) -> None:
    """Make the objective's network a part of a model, so that Trainer trains and saves it with the model."""
    if objective.network is None:
        return
    model.add_module(NAME, objective.network)
    # The loss uses it outside of the model's forward pass, where DDP does not look for it; see share_gradients.
    setattr(model, _IGNORED, [f"{NAME}.{name}" for name in objective.network.state_dict()])


def detach(model: nn.Module) -> None:
    """Leave a model as it was."""
    model._modules.pop(NAME, None)
    model.__dict__.pop(_IGNORED, None)


def share_gradients(network: nn.Module) -> None:
    """Give all processes the mean of a network's gradients."""
    for parameter in network.parameters():
        if parameter.grad is not None:
            parameter.grad = mean_over_processes(parameter.grad)


def without(state: dict[str, Any]) -> dict[str, Any]:
    """A model's state without that of an objective's network."""
    return {name: value for name, value in state.items() if not name.startswith(f"{NAME}.")}
