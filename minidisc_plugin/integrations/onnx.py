"""ONNX through Optimum: export, and inference by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidisc_plugin.atomic import atomic_folder
from minidisc_plugin.integrations.hosts import require
from minidisc_plugin.nested.checkpoint import as_stock

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TASK = "text-classification"


def export(model: PreTrainedModel, folder: Path) -> None:
    """Write a model, its layers of whatever widths, as ONNX in fp32.

    Raises:
        HostError: Optimum's exporter or ONNX Runtime cannot work.
    """
    require("onnx")
    from optimum.exporters.onnx import onnx_export_from_model

    with atomic_folder(folder) as temporary:
        onnx_export_from_model(as_stock(model), temporary, task=TASK, do_validation=False)


def load(folder: Path) -> Any:
    """The model in ONNX Runtime on the CPU."""
    require("onnx")
    from optimum.onnxruntime import ORTModelForSequenceClassification

    return ORTModelForSequenceClassification.from_pretrained(str(folder), provider="CPUExecutionProvider")
