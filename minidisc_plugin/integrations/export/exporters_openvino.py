"""OpenVINO through transformers itself (`transformers.exporters`, 5.23 and newer), and NNCF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from minidisc_plugin.integrations.export.exporters import Exporters

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


class ExportersOpenVINO(Exporters):
    """`OpenVINOExporter` and `NNCFOpenVINOQuantizer`."""

    settings: ClassVar = {"config": {"CACHE_DIR": "", "PERFORMANCE_HINT": "LATENCY"}}
    exact: ClassVar = {"config": {"CACHE_DIR": "", "INFERENCE_PRECISION_HINT": "f32"}}

    def traced(self, model: PreTrainedModel, sample: dict[str, Tensor]) -> Any:
        """See Exporters."""
        from transformers.exporters import OpenVINOConfig, OpenVINOExporter

        return OpenVINOExporter().export(model, sample, OpenVINOConfig(dynamic_shapes=self.axes(sample)))

    def quantizer(self, scheme: str, calibration: list[dict[str, Tensor]]) -> tuple[Any, Any]:
        """See Exporters."""
        import nncf
        from nncf.quantization.advanced_parameters import GroupSizeFallbackMode
        from transformers.exporters import (
            ExportFormat,
            NNCFOpenVINOQuantizer,
            NNCFQuantizationConfig,
            NNCFWeightCompressionConfig,
        )

        settings = {
            "openvino_int8": lambda: NNCFWeightCompressionConfig(mode=nncf.CompressWeightsMode.INT8_ASYM),
            # Widths of slices are seldom multiples of 128: groups as large as fit, else 8 bits.
            "openvino_int4": lambda: NNCFWeightCompressionConfig(
                mode=nncf.CompressWeightsMode.INT4_SYM,
                advanced_parameters=nncf.AdvancedCompressionParameters(
                    group_size_fallback_mode=GroupSizeFallbackMode.ADJUST
                ),
            ),
            "openvino_static": lambda: NNCFQuantizationConfig(subset_size=len(calibration)),
        }[scheme]()
        return NNCFOpenVINOQuantizer(settings, calibration_dataset=calibration), ExportFormat.OPENVINO
