"""ONNX through transformers itself (`transformers.exporters`, 5.23 and newer), ONNX Runtime and NNCF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minidisc_plugin.integrations.export.exporters import Exporters

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


class ExportersONNX(Exporters):
    """`OnnxExporter`, `OnnxRuntimeQuantizer` where it needs no ranges of activations, and `NNCFOnnxQuantizer`."""

    def traced(self, model: PreTrainedModel, sample: dict[str, Tensor]) -> Any:
        """See Exporters."""
        from transformers.exporters import OnnxConfig, OnnxExporter

        return OnnxExporter().export(model, sample, OnnxConfig(dynamic_shapes=self.axes(sample)))

    def quantizer(self, scheme: str, calibration: list[dict[str, Tensor]]) -> tuple[Any, Any]:
        """See Exporters; never ONNX Runtime's own static ranges, which ruin a transformer without a word."""
        from transformers.exporters import (
            ExportFormat,
            NNCFOnnxQuantizer,
            NNCFQuantizationConfig,
            OnnxRuntimeDynamicConfig,
            OnnxRuntimeQuantizer,
        )

        if scheme == "onnx_dynamic":
            return OnnxRuntimeQuantizer(OnnxRuntimeDynamicConfig()), ExportFormat.ONNX
        settings = NNCFQuantizationConfig(subset_size=len(calibration))
        return NNCFOnnxQuantizer(settings, calibration_dataset=calibration), ExportFormat.ONNX
