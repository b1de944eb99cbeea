"""What Optimum's exporters have to be told of models of sounds: sizes, masks, and weights as they are multiplied."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

SPECTROGRAM = "input_features"
_SAMPLES, _MASK = "input_values", "attention_mask"


def export_settings(model: PreTrainedModel, task: str, exporter: str, sample: Mapping[str, Tensor]) -> dict[str, Any]:
    """Further arguments of `export_from_model` and `onnx_export_from_model`; none for models of texts and images.

    Args:
        model: What is exported, of a class of transformers.
        task: What it does.
        exporter: "openvino" or "onnx".
        sample: Inputs by name.
    """
    if SPECTROGRAM in sample:
        bands, frames = sample[SPECTROGRAM].shape[1:]
        return {"feature_size": bands, "nb_max_frames": frames}
    if _SAMPLES not in sample or sample[_SAMPLES].dim() != 2:
        return {}
    settings: dict[str, Any] = {"audio_sequence_length": sample[_SAMPLES].shape[1]}
    if _MASK in sample:
        settings["custom_export_configs" if exporter == "openvino" else "custom_onnx_configs"] = {
            "model": _masked(model, task, exporter)
        }
    return settings


def with_plain_weights(model: PreTrainedModel) -> PreTrainedModel:
    """The model, or a copy whose weights are no products of a length and a direction: quantizers look for numbers."""
    from torch.nn.utils import parametrize

    computed = [module for module in model.modules() if parametrize.is_parametrized(module)]
    return copy.deepcopy(model, {id(module): _plain(module) for module in computed}) if computed else model


def _plain(module: Any) -> Any:
    """A module with computed weights as one that has them; `remove_parametrizations` would change all copies of it."""
    from torch import nn
    from torch.nn.utils import parametrize

    kind: Any = parametrize.type_before_parametrizations(module)
    plain = kind.__new__(kind)
    weights = {name: nn.Parameter(getattr(module, name).detach().clone()) for name in module.parametrizations}
    parts = {name: part for name, part in module.named_children() if name != "parametrizations"}
    vars(plain).update({**vars(module), "_parameters": {**module._parameters, **weights}, "_modules": parts})
    return plain


def _masked(model: PreTrainedModel, task: str, exporter: str) -> Any:
    """The model's export config with its mask as an input: without it, silence that pads a sound would be heard."""
    from optimum.exporters.tasks import TasksManager
    from optimum.utils.input_generators import DummyInputGenerator

    class Masks(DummyInputGenerator):  # type: ignore[misc]
        """A mask of samples, all of them real."""

        SUPPORTED_INPUT_NAMES = (_MASK,)

        def __init__(
            self, task: str, normalized_config: Any, batch_size: int = 2, audio_sequence_length: int = 0, **kwargs: Any
        ) -> None:
            self.shape = [batch_size, audio_sequence_length]

        def generate(self, input_name: str, framework: str = "pt", int_dtype: str = "int64", **kwargs: Any) -> Any:
            import torch

            return torch.ones(self.shape, dtype=torch.int64)

    made = TasksManager.get_exporter_config_constructor(exporter, model=model, task=task)
    base: type[Any] = made.func

    class WithMask(base):  # type: ignore[misc]
        """The same, with one input more."""

        DUMMY_INPUT_GENERATOR_CLASSES: ClassVar[tuple[type[Any], ...]] = (*base.DUMMY_INPUT_GENERATOR_CLASSES, Masks)

        @property
        def inputs(self) -> dict[str, dict[int, str]]:
            """Axes that are free, by input."""
            return {**super().inputs, _MASK: {0: "batch_size", 1: "sequence_length"}}

    return WithMask(model.config, **{"task": task, **made.keywords})
