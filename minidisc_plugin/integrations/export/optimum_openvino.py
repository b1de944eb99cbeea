"""OpenVINO through Optimum Intel 1.27 or 2.2: export, NNCF, inference."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidisc_plugin.foundation.atomic import atomic_folder
from minidisc_plugin.integrations.export.optimum_sounds import SPECTROGRAM, export_settings
from minidisc_plugin.integrations.export.route import Route, batches_of_one
from minidisc_plugin.nested.checkpoint import as_stock

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from transformers import PreTrainedModel

_OPENED = """
def opened(folder):
    from optimum.intel import {kind}
    settings = {{"INFERENCE_PRECISION_HINT": "f32", "CACHE_DIR": ""}}
    return {kind}.from_pretrained(folder, export=False, device="CPU", ov_config=settings)
"""


class OptimumOpenVINO(Route):
    """`optimum.exporters.openvino`, `OVQuantizer` and the `OVModelFor...` classes."""

    def refused(self, sample: Mapping[str, Tensor]) -> str:
        """See Route."""
        kind = self.task.runtime_classes["openvino"]
        if SPECTROGRAM in sample and not self.task.writes:
            return f"{kind} of Optimum Intel takes input_values, and the model is given {SPECTROGRAM}"
        return ""

    def unable(self, scheme: str) -> str:
        """See Route."""
        if scheme == "openvino_static" and self.task.writes:
            return "Optimum Intel calibrates models that write on data of the Hub alone"
        return ""

    def export(self, model: PreTrainedModel, folder: Path, sample: Mapping[str, Tensor]) -> None:
        """See Route."""
        from optimum.exporters.openvino import export_from_model
        from optimum.intel import OVConfig

        stock, task = as_stock(model), self.task.name
        settings = export_settings(stock, task, "openvino", sample)
        with atomic_folder(folder) as temporary:
            # Without a config the exporter stores large models in 8 bits.
            export_from_model(stock, temporary, task=task, ov_config=OVConfig(dtype="fp32"), **settings)

    def quantize(
        self, scheme: str, source: Path, folder: Path, examples: Dataset, sample: Mapping[str, Tensor]
    ) -> None:
        """See Route."""
        from optimum.intel import (
            OVCalibrationDataset,
            OVConfig,
            OVQuantizationConfig,
            OVQuantizer,
            OVWeightQuantizationConfig,
        )

        settings = {
            "openvino_int8": lambda: OVWeightQuantizationConfig(bits=8),
            # Widths of slices are seldom multiples of 128: groups as large as fit, else 8 bits.
            "openvino_int4": lambda: OVWeightQuantizationConfig(bits=4, sym=True, group_size_fallback="adjust"),
            "openvino_static": lambda: OVQuantizationConfig(num_samples=len(examples)),
        }[scheme]()
        calibration: Any = examples if scheme == "openvino_static" else None
        if calibration is not None and self.task.chooses:
            import nncf

            # Of a data set it would take the columns that `forward` names, and that of its class names none.
            calibration = OVCalibrationDataset({"model": nncf.Dataset(batches_of_one(examples, sample))})
        with atomic_folder(folder) as temporary:
            OVQuantizer.from_pretrained(self.load(source)).quantize(
                calibration_dataset=calibration,
                ov_config=OVConfig(quantization_config=settings),
                save_directory=temporary,
            )

    def load(self, folder: Path) -> Any:
        """See Route."""
        from optimum import intel

        return getattr(intel, self.task.runtime_classes["openvino"]).from_pretrained(
            str(folder), export=False, device="CPU", ov_config={"CACHE_DIR": "", "PERFORMANCE_HINT": "LATENCY"}
        )

    @property
    def opened(self) -> str:
        """See Route."""
        return _OPENED.format(kind=self.task.runtime_classes["openvino"])
