"""What an accelerator does at its best: batches as large as pay, and single examples without launching each kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

# A batch of twice the size has to bring so much, else the device is saturated.
_GAIN = 1.1
_LARGEST = 8192
_WARM_UPS = 2
_PASSES = 5


@dataclass(frozen=True)
class Saturation:
    """A model on a CUDA device.

    Attributes:
        throughput: Examples a second at the best batch.
        batch: Examples of that batch.
        memory_gib: Peak of the device's memory meanwhile, weights included.
    """

    throughput: float
    batch: int
    memory_gib: float


@dataclass(frozen=True)
class Serving:
    """A model on a CUDA device, at large batches and at single examples.

    Attributes:
        saturated: At the batch that saturates the device.
        latency_ms_graph: Of one example as a CUDA graph, see `graph_latency_ms`.
    """

    saturated: Saturation
    latency_ms_graph: float | None


def serve(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> Serving:
    """Measure both.

    Args:
        model: On a CUDA device, in evaluation mode.
        batch: Inputs of examples, name -> (examples, ...).
    """
    saturated = saturate(model, batch)
    return Serving(saturated, graph_latency_ms(model, {name: value[:1] for name, value in batch.items()}))


def saturate(model: nn.Module, batch: Mapping[str, torch.Tensor], largest: int = _LARGEST) -> Saturation:
    """Double the batch until that gains less than a tenth, or memory ends.

    Args:
        model: On a CUDA device, in evaluation mode.
        batch: Inputs of examples, name -> (examples, ...); repeated, and doubled from what it is.
        largest: Batch that is tried.
    """
    import torch

    device = next(parameter.device for parameter in model.parameters())
    inputs = {name: value.to(device) for name, value in batch.items()}
    torch.cuda.reset_peak_memory_stats(device)
    found: dict[int, float] = {}
    with torch.inference_mode():
        size = len(next(iter(inputs.values())))
        while size <= largest:
            try:
                found[size] = size / _seconds(model, inputs)
            except torch.cuda.OutOfMemoryError:
                torch.cuda.empty_cache()
                break
            if found[size] < _GAIN * found.get(size // 2, 0.0):
                break
            size *= 2
            inputs = {name: torch.cat([value, value]) for name, value in inputs.items()}
    best = max(found, key=found.__getitem__)
    return Saturation(found[best], best, torch.cuda.max_memory_allocated(device) / 2**30)


def graph_latency_ms(model: nn.Module, one: Mapping[str, torch.Tensor]) -> float | None:
    """Milliseconds of one example whose kernels are launched at once; None where the model cannot be recorded.

    Args:
        model: On a CUDA device, in evaluation mode.
        one: Inputs of one example, name -> (1, ...).
    """
    import torch

    from minidisc_plugin.training.recorded_passes import RecordedPasses

    passes = RecordedPasses()
    device = next(parameter.device for parameter in model.parameters())
    inputs = {name: value.to(device) for name, value in one.items()}
    with torch.no_grad():
        seconds = _seconds(lambda **named: passes.run(model, named, {}, None), inputs)
    return None if passes.reason else 1e3 * seconds


def _seconds(model: Any, inputs: Mapping[str, torch.Tensor]) -> float:
    import torch

    for _ in range(_WARM_UPS):
        model(**inputs)
    torch.cuda.synchronize()
    start = perf_counter()
    for _ in range(_PASSES):
        model(**inputs)
    torch.cuda.synchronize()
    return (perf_counter() - start) / _PASSES
