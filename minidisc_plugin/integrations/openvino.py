"""OpenVINO through Optimum Intel: export, 8-bit quantization by NNCF, inference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidisc_plugin.foundation.atomic import atomic_folder
from minidisc_plugin.integrations.hosts import require
from minidisc_plugin.nested.checkpoint import as_stock

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel


def export(model: PreTrainedModel, folder: Path, task: str = "text-classification") -> None:
    """Write a model, its layers of whatever widths, as OpenVINO IR in fp32.

    Raises:
        HostError: OpenVINO or Optimum Intel cannot work.
    """
    require("openvino")
    from optimum.exporters.openvino import export_from_model
    from optimum.intel import OVConfig

    with atomic_folder(folder) as temporary:
        # Without a config the exporter stores large models in 8 bits.
        export_from_model(as_stock(model), temporary, task=task, ov_config=OVConfig(dtype="fp32"))


def quantize(source: Path, folder: Path, examples: Dataset, kind: str = "OVModelForSequenceClassification") -> None:
    """Quantize weights and activations of an exported model to 8 bits.

    Args:
        source: What `export` wrote.
        folder: Where to write.
        examples: Calibration data with the model's inputs only.
        kind: The class that loads it.
    """
    require("openvino")
    from optimum.intel import OVConfig, OVQuantizationConfig, OVQuantizer

    settings = OVConfig(quantization_config=OVQuantizationConfig(num_samples=len(examples)))
    with atomic_folder(folder) as temporary:
        OVQuantizer.from_pretrained(load(source, kind)).quantize(
            calibration_dataset=examples, ov_config=settings, save_directory=temporary
        )


def load(folder: Path, kind: str = "OVModelForSequenceClassification") -> Any:
    """The model in OpenVINO's runtime on the CPU, tuned for latency."""
    require("openvino")
    from optimum import intel

    return getattr(intel, kind).from_pretrained(
        str(folder), export=False, device="CPU", ov_config={"CACHE_DIR": "", "PERFORMANCE_HINT": "LATENCY"}
    )
