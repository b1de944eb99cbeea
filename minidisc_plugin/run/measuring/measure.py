"""How large and how fast a torch model is, measured rather than derived from its scale."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from minidisc_plugin.foundation.errors import RunDirectoryError

if TYPE_CHECKING:
    import torch
    from torch import nn

# In the order in which a folder that holds several formats is judged; only the first one found counts.
_FORMATS = {
    "safetensors": (".safetensors",),
    "OpenVINO or torch": (".xml", ".bin"),
    "ONNX": (".onnx", ".onnx_data", ".onnx.data"),
    "pickled": (".pt", ".pth"),
}
_TRAINING = ("training_args", "optimizer", "scheduler", "rng_state", "scaler")
_NOT_THE_MODEL = (".", "openvino_tokenizer", "openvino_detokenizer", *_TRAINING)


@dataclass(frozen=True)
class Timing:
    """Medians over all rounds: milliseconds for the first batch, examples per second for the second."""

    latency_ms_batch1: float
    throughput_batch32: float


def count_parameters(model: nn.Module) -> int:
    """Parameters of the model, shared ones once; buffers do not count."""
    return sum(parameter.numel() for parameter in model.parameters())


def macs(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> int:
    """Multiply-accumulates of one forward pass, per example of ``batch`` (name -> (examples, ...)).

    Matrix products and convolutions count, padding included; element-wise work does not. Attention runs
    as plain matrix products meanwhile, because fused kernels are not counted on every device.
    """
    import torch
    from torch.func import functional_call
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    inputs = _on(_device(model), batch)
    # The counter hooks into the gradient of whatever asks for one: without gradients, a bare parameter, or a view of
    # one, that one module hands to the next is an error.
    weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
    counter = FlopCounterMode(display=False)
    with _evaluating(model), torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        functional_call(model, weights, kwargs=inputs)
    return int(counter.get_total_flops()) // 2 // _examples(inputs)


def bytes_on_disk(folder: str | os.PathLike[str]) -> int:
    """Bytes of the weight files directly in ``folder``: safetensors, OpenVINO, torch or ONNX.

    A folder that holds the same model in several formats is as large as the first of them, in this order.
    State of the training and tokenizers never count.

    Raises:
        RunDirectoryError: there is no such folder, or it holds no weights.
    """
    root = Path(folder)
    if not root.is_dir():
        raise RunDirectoryError(f"{root} is not a folder, so its weights have no size; save the model there")
    files = [f for f in root.iterdir() if f.is_file() and not f.name.startswith(_NOT_THE_MODEL)]
    for suffixes in _FORMATS.values():
        if weights := [f for f in files if f.name.endswith(suffixes)]:
            return sum(f.stat().st_size for f in weights)
    raise RunDirectoryError(f"{root} holds no weights ({', '.join(_FORMATS)}); save the model there")


def time_models(
    models: Mapping[str, Any],
    batch1: Mapping[str, torch.Tensor],
    batch32: Mapping[str, torch.Tensor],
    *,
    seconds: float = 10.0,
    warmup: int = 2,
    rounds: int = 200,
) -> dict[str, Timing]:
    """Time all models against each other: one pass of each per round, in an order drawn anew each time.

    Whatever disturbs the machine thus falls on all models alike. Inputs are moved to each model's device
    beforehand; a pass ends when the device has finished. ``seconds`` is the time for all of it, split evenly
    between the two batches: after the warm-up at least one round runs, and no round starts after the limit.

    Args:
        models: name -> what is called with a batch by name; a torch module is left in the mode (train or eval) it
            came in.
        batch1: inputs of one example, name -> (1, tokens).
        batch32: inputs of 32 examples, name -> (32, tokens); any other number works and is divided by.
        seconds: wall-clock limit, exceeded only when the warm-up and one round take longer.
        warmup: passes of each model and batch that are not timed; fewer where the time is short.
        rounds: at most so many for each batch, so that tiny models do not use up the time.
    """
    latency = _race(models, batch1, seconds / 2, warmup, rounds)
    bulk = _race(models, batch32, seconds / 2, warmup, rounds)
    return {
        name: Timing(
            latency_ms_batch1=1e3 * latency[name] / _examples(batch1),
            throughput_batch32=_examples(batch32) / bulk[name],
        )
        for name in models
    }


def pass_ms(
    model: Any, batch: Mapping[str, torch.Tensor], seconds: float, *, warmup: int = 5, rounds: int = 2000
) -> float:
    """Median milliseconds that a model alone needs for a batch.

    Args:
        model: See time_models.
        batch: inputs by name, name -> (examples, tokens).
        seconds: wall-clock limit; see time_models.
        warmup: passes that are not timed; fewer where the time is short.
        rounds: at most so many passes.
    """
    return 1e3 * _race({"": model}, batch, seconds, warmup, rounds)[""]


def _race(
    models: Mapping[str, Any], batch: Mapping[str, torch.Tensor], seconds: float, warmup: int, rounds: int
) -> dict[str, float]:
    """Median seconds that each model needs for the batch."""
    passes = {name: _timed_pass(model, batch) for name, model in models.items()}
    taken: dict[str, list[float]] = {name: [] for name in models}
    order, shuffle = list(models), random.Random(0).shuffle
    with _evaluating(*models.values()):
        start = perf_counter()
        for done in range(warmup):
            if done and perf_counter() - start > seconds / 2:
                break
            for name in order:
                passes[name]()
        for _ in range(rounds):
            shuffle(order)
            for name in order:
                taken[name].append(passes[name]())
            if perf_counter() - start >= seconds:
                break
    return {name: median(times) for name, times in taken.items()}


def _timed_pass(model: Any, batch: Mapping[str, torch.Tensor]) -> Callable[[], float]:
    import torch

    device = _device(model)
    inputs = _on(device, batch)
    finish = barrier(device)

    def one_pass() -> float:
        with torch.inference_mode():
            finish()
            start = perf_counter()
            model(**inputs)
            finish()
            return perf_counter() - start

    return one_pass


def barrier(device: torch.device) -> Callable[[], None]:
    """What waits until the device has done all its work; nothing to wait for on a CPU."""
    import torch

    if device.type == "cuda":
        return lambda: torch.cuda.synchronize(device)
    if device.type == "xpu":
        return lambda: torch.xpu.synchronize(device)
    if device.type == "mps":
        return torch.mps.synchronize
    return lambda: None


@contextmanager
def _evaluating(*models: Any) -> Iterator[None]:
    """Eval mode for the block; afterwards every module is in the mode it was in."""
    from torch import nn

    modules = [model for model in models if isinstance(model, nn.Module)]
    modes = [(module, module.training) for model in modules for module in model.modules()]
    for model in modules:
        model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _device(model: Any) -> torch.device:
    """Where a model takes its inputs; other runtimes than torch take them from the CPU."""
    import torch

    parameters = model.parameters() if isinstance(model, torch.nn.Module) else ()
    return next((parameter.device for parameter in parameters), torch.device("cpu"))


def _on(device: torch.device, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.to(device) for name, tensor in batch.items()}


def _examples(batch: Mapping[str, torch.Tensor]) -> int:
    return len(next(iter(batch.values())))
