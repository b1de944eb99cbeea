"""Memory that a training stage needs on each device: exact for what is kept, measured for what a batch adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from minidisc_plugin.training.batches import length_in

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import TrainingArguments

_ADAM = "adam"


@dataclass(frozen=True)
class Memory:
    """Bytes on each device while the largest stage trains.

    Attributes:
        teacher: The frozen teacher's weights; never sharded.
        network: Weights of the network of the candidates, trimmed to the largest.
        gradients: Of these weights.
        optimizer: Two states of each weight with Adam, in the weights' type; None for another optimizer.
        activations: What one forward pass of the largest candidate keeps for its backward pass, without gradient
            checkpointing; grows with examples times tokens.
        examples: Of the batch that activations were measured on.
        tokens: Of each of its examples.
        devices: Over how many devices network, gradients and optimizer are divided; 1 without FSDP.
    """

    teacher: int
    network: int
    gradients: int
    optimizer: int | None
    activations: int
    examples: int
    tokens: int
    devices: int = 1


def weight_bytes(model: nn.Module) -> int:
    """Bytes of a model's parameters, shared ones once."""
    return sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())


def uses_adam(args: TrainingArguments) -> bool:
    """Whether the optimizer keeps two states of each weight."""
    return _ADAM in str(getattr(args.optim, "value", args.optim))


def checkpoint_bytes(args: TrainingArguments, weights: int) -> int:
    """Of a checkpoint: so many bytes of weights, and two states of each with Adam."""
    return weights * (3 if uses_adam(args) else 1)


def activation_bytes(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> int:
    """Bytes that a forward pass in training mode keeps for the backward pass, parameters left out.

    Args:
        model: On any device; its mode is left as it was.
        batch: Inputs by name, (examples, ...) each.
    """
    import torch

    parameters = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage  # held, so that no other takes its address
        return tensor

    device = next(model.parameters()).device
    training = model.training
    model.train()
    try:
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            output = model(**{name: value.to(device) for name, value in batch.items()})
            del output
    finally:
        model.train(training)
    return sum(storage.nbytes() for storage in kept.values())


def training_memory(
    teacher: nn.Module, network: nn.Module, batch: Mapping[str, torch.Tensor], args: TrainingArguments, devices: int
) -> Memory:
    """Memory of the stage that trains `network` against `teacher`.

    Args:
        teacher: The frozen model.
        network: At the scale, and of the size, that is trained.
        batch: As for activation_bytes; repeated to the batch size of one device.
        args: Of the stage.
        devices: Over how many FSDP divides what is trained; 1 without it.
    """
    examples = int(args.per_device_train_batch_size)
    single: dict[str, Any] = {name: value[:1] for name, value in batch.items()}
    trained = sum(p.numel() * p.element_size() for p in network.parameters() if p.requires_grad)
    optimizer = 2 * trained if uses_adam(args) else None
    return Memory(
        teacher=weight_bytes(teacher),
        network=weight_bytes(network) // devices,
        gradients=trained // devices,
        optimizer=None if optimizer is None else optimizer // devices,
        activations=examples * activation_bytes(network, single),
        examples=examples,
        tokens=length_in(single),
        devices=devices,
    )
