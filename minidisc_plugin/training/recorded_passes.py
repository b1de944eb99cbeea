"""Passes of a model, recorded once as CUDA graphs and replayed: one launch in place of thousands."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from minidisc_plugin.training.recording import Buffers, Recording

logger = logging.getLogger(__name__)

# Of one stage: scales times lengths. What comes beyond runs as it is.
_MOST_RECORDINGS = 128


class RecordedPasses:
    """Runs passes of one model from recordings, of which there is one for each slice and shape of inputs.

    A recording launches the kernels that the model launches. Gradients are added up in buffers that stay where they
    are; every backward pass makes them the parameters' `grad`, so optimizers, clipping and `zero_grad` go on as ever. A
    model that cannot be recorded, because it waits for the device or draws random numbers, runs as it is from then on.

    Outputs are overwritten by the next pass of this shape: use them before.

    Attributes:
        reason: Why nothing is recorded any more; None while all is well.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self._pool = torch.cuda.graph_pool_handle()
        self._buffers = Buffers()
        self._recordings: dict[Hashable, Recording] = {}

    def run(self, model: nn.Module, inputs: Mapping[str, Any], options: Mapping[str, Any], piece: Hashable) -> Any:
        """The outputs of `model`; their backward pass is recorded as well, where gradients are wanted.

        Args:
            model: On a CUDA device; the same, and with the same parameters, at each call.
            inputs: Tensors by name, on that device.
            options: Further arguments, the same at each call.
            piece: Which slice of the model computes.
        """
        if self.reason is not None or not all(isinstance(value, Tensor) for value in inputs.values()):
            return model(**inputs, **options)
        shapes = tuple((name, value.shape, value.dtype) for name, value in inputs.items())
        key = (piece, shapes, torch.is_grad_enabled())
        found = self._recordings.get(key)
        if found is None and len(self._recordings) < _MOST_RECORDINGS:
            found = self._record(key, model, inputs, options)
        return model(**inputs, **options) if found is None else found.replay(inputs)

    def _record(
        self, key: Hashable, model: nn.Module, inputs: Mapping[str, Tensor], options: Mapping[str, Any]
    ) -> Recording | None:
        random = torch.cuda.default_generators[torch.cuda.current_device()]
        before = random.clone_state()
        try:
            found = self._recordings[key] = Recording(model, inputs, options, self._pool, self._buffers)
        except Exception as error:  # libraries raise many kinds; the model is as it was
            # A recording that fails leaves the generator waiting for its end, and whoever draws next would fail.
            random.graphsafe_set_state(before)
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            self.reason = f"{type(model).__name__} cannot be recorded as CUDA graphs: {said}"
            logger.warning("%s; its kernels are launched one by one", self.reason)
            return None
        return found
