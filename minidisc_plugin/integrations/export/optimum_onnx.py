"""ONNX through Optimum: export, dynamic 8 bits, inference by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidisc_plugin.foundation.atomic import atomic_folder
from minidisc_plugin.integrations.export.optimum_sounds import export_settings, with_plain_weights
from minidisc_plugin.integrations.export.route import Route
from minidisc_plugin.nested.checkpoint import as_stock

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from transformers import PreTrainedModel

_OPENED = """
def opened(folder):
    from optimum.onnxruntime import {kind}
    return {kind}.from_pretrained(folder, provider="CPUExecutionProvider"{more})
"""


class OptimumONNX(Route):
    """`optimum.exporters.onnx`, `ORTQuantizer` and the `ORTModelFor...` classes."""

    def export(self, model: PreTrainedModel, folder: Path, sample: Mapping[str, Tensor]) -> None:
        """See Route."""
        from optimum.exporters.onnx import onnx_export_from_model

        stock, task = with_plain_weights(as_stock(model)), self.task.name
        settings = export_settings(stock, task, "onnx", sample)
        with atomic_folder(folder) as temporary:
            onnx_export_from_model(stock, temporary, task=task, do_validation=False, **settings)

    def quantize(
        self, scheme: str, source: Path, folder: Path, examples: Dataset, sample: Mapping[str, Tensor]
    ) -> None:
        """See Route."""
        from onnxruntime.quantization import QuantFormat, QuantizationMode
        from optimum.onnxruntime import ORTQuantizer
        from optimum.onnxruntime.configuration import QuantizationConfig

        assert scheme == "onnx_dynamic"
        settings = QuantizationConfig(is_static=False, format=QuantFormat.QOperator, mode=QuantizationMode.IntegerOps)
        with atomic_folder(folder) as temporary:
            for file in sorted(source.glob("*.onnx")):  # an encoder and its decoder are two
                ORTQuantizer.from_pretrained(source, file_name=file.name).quantize(settings, temporary, file_suffix="")

    def load(self, folder: Path) -> Any:
        """See Route."""
        from optimum import onnxruntime

        kind = getattr(onnxruntime, self.task.runtime_classes["onnx"])
        return kind.from_pretrained(str(folder), provider="CPUExecutionProvider", **self._cacheless)

    @property
    def opened(self) -> str:
        """See Route."""
        more = "".join(f", {name}={value!r}" for name, value in self._cacheless.items())
        return _OPENED.format(kind=self.task.runtime_classes["onnx"], more=more)

    @property
    def _cacheless(self) -> dict[str, Any]:
        """Decoders are written without kept keys and values: exporters want as many heads in every layer for these."""
        return {"use_cache": False} if self.task.writes else {}
