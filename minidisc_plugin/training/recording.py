"""One recording: the forward and the backward pass of a slice of a model, for inputs of one shape."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._pytree import tree_flatten, tree_unflatten

# Runs ahead of a recording: in them libraries choose their kernels, and make their workspaces.
_WARM_UPS = 2


class Buffers:
    """Tensors outside of the recordings' own memory, shared by recordings of one shape: one of them runs at a time."""

    def __init__(self) -> None:
        self._values: dict[Hashable, Tensor] = {}
        self._gradients: dict[nn.Parameter, Tensor] = {}

    def like(self, purpose: Hashable, value: Tensor) -> Tensor:
        """The buffer of this purpose for values of this shape."""
        key = (purpose, value.shape, value.dtype)
        if key not in self._values:
            self._values[key] = torch.empty(value.shape, dtype=value.dtype, device=value.device)
        return self._values[key]

    def gradient(self, parameter: nn.Parameter) -> Tensor:
        """Where all recordings add up a parameter's gradient."""
        if parameter not in self._gradients:
            self._gradients[parameter] = torch.zeros_like(parameter)
        return self._gradients[parameter]


class Recording:
    """Records passes; see RecordedPasses.

    Args:
        model: Whose passes; its parameters stay where they are in memory.
        inputs: By name, of the shape that is recorded.
        options: Further arguments of the model.
        pool: Memory of all recordings.
        buffers: Of all recordings.

    Raises:
        Exception: of whatever kind, where something in the model cannot be recorded.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Mapping[str, Tensor],
        options: Mapping[str, Any],
        pool: Any,
        buffers: Buffers,
    ) -> None:
        self._inputs = {name: buffers.like(name, value).copy_(value) for name, value in inputs.items()}
        self._model, self._options, self._buffers = model, options, buffers
        parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
        # Others of the same memory: autograd may know the parameters themselves from passes that were not recorded,
        # and would wait for these.
        self._aliases = {name: value.detach().requires_grad_() for name, value in parameters.items()}
        self._parameters: list[nn.Parameter] = list(parameters.values())
        self._forward, self._backward = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        self._outputs: list[Any] = []
        self._wanted: list[bool] = []
        self._cotangents: list[Tensor] = []
        self._gradients: list[Tensor] = []
        with _aside():
            for _ in range(_WARM_UPS):
                self._try()
        with torch.cuda.graph(self._forward, pool=pool, capture_error_mode="thread_local"):
            found = self._run()
            for buffer, value in zip(self._outputs, found, strict=True):
                if isinstance(value, Tensor):
                    buffer.copy_(value.detach())
        if any(self._wanted):
            with torch.cuda.graph(self._backward, pool=pool, capture_error_mode="thread_local"):
                own = torch.autograd.grad(self._differentiable(found), self._reached(), self._cotangents)
                torch._foreach_add_(self._gradients, own)
        # What recording needed, and replaying does not.
        del self._model, self._aliases, self._options

    def replay(self, inputs: Mapping[str, Tensor]) -> Any:
        """The outputs for inputs of the recorded shape, as the model itself would give them."""
        for name, value in inputs.items():
            self._inputs[name].copy_(value, non_blocking=True)
        if not any(self._wanted):
            self._forward.replay()
            return tree_unflatten(_views(self._outputs), self._shape)
        replayed = iter(_Replay.apply(self, torch.empty((), requires_grad=True)))  # type: ignore[no-untyped-call]
        found = [next(replayed) if wanted else value for value, wanted in self._marked()]
        return tree_unflatten(found, self._shape)

    def forward(self) -> tuple[Tensor, ...]:
        """Replay the forward pass: the outputs that gradients come back for."""
        self._forward.replay()
        return tuple(_views([value for value, wanted in self._marked() if wanted]))

    def backward(self, cotangents: Sequence[Tensor | None]) -> None:
        """Replay the backward pass: add to the parameters' gradients."""
        for buffer, value in zip(self._cotangents, cotangents, strict=True):
            buffer.zero_() if value is None else buffer.copy_(value)
        fresh: list[Tensor] = []
        for parameter, buffer in zip(self._parameters, self._gradients, strict=True):
            if parameter.grad is not buffer:
                fresh.append(buffer)
                if parameter.grad is not None:  # of a pass that was not recorded
                    fresh.pop().copy_(parameter.grad)
                parameter.grad = buffer
        if fresh:
            torch._foreach_zero_(fresh)
        self._backward.replay()

    def _run(self) -> list[Any]:
        outputs, self._shape = tree_flatten(
            functional_call(self._model, self._aliases, (), {**self._inputs, **self._options})
        )
        torch.clear_autocast_cache()  # what was converted in a recording is there only while it is replayed
        return outputs

    def _try(self) -> None:
        """Run as it is; make the buffers of what is found, and leave out parameters that no gradient reaches."""
        found = self._run()
        like = self._buffers.like
        self._outputs = [
            like(("output", place), value) if isinstance(value, Tensor) else value for place, value in enumerate(found)
        ]
        self._wanted = [isinstance(value, Tensor) and value.requires_grad for value in found]
        ends = self._differentiable(found)
        self._cotangents = [like(("cotangent", place), value).zero_() for place, value in enumerate(ends)]
        if not ends:
            return
        gradients = torch.autograd.grad(ends, self._reached(), self._cotangents, allow_unused=True)
        reached = [gradient is not None for gradient in gradients]
        names = [name for name, kept in zip(self._aliases, reached, strict=True) if kept]
        self._aliases = {name: self._aliases[name] for name in names}
        self._parameters = [value for value, kept in zip(self._parameters, reached, strict=True) if kept]
        self._gradients = [self._buffers.gradient(parameter) for parameter in self._parameters]

    def _reached(self) -> list[Tensor]:
        return list(self._aliases.values())

    def _differentiable(self, found: Sequence[Any]) -> list[Tensor]:
        return [value for value, wanted in zip(found, self._wanted, strict=True) if wanted]

    def _marked(self) -> Iterator[tuple[Any, bool]]:
        return zip(self._outputs, self._wanted, strict=True)


class _Replay(torch.autograd.Function):
    """A recording as a step of autograd's; the second argument is there to ask for a gradient."""

    @staticmethod
    def forward(ctx: Any, recording: Recording, anchor: Tensor) -> tuple[Tensor, ...]:
        """The outputs that gradients come back for."""
        ctx.set_materialize_grads(False)
        ctx.recording = recording
        return recording.forward()

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[None, None]:
        """Parameters get their gradients in passing."""
        ctx.recording.backward(cotangents)
        return None, None


@contextmanager
def _aside() -> Iterator[None]:
    """A stream of its own, as a recording has."""
    usual, own = torch.cuda.current_stream(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
    own.wait_stream(usual)
    with torch.cuda.stream(own):
        yield
    usual.wait_stream(own)


def _views(values: Sequence[Any]) -> list[Any]:
    return [value.detach() if isinstance(value, Tensor) else value for value in values]
