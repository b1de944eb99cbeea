"""ONNX through Optimum: export, and inference by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidisc_plugin.foundation.atomic import atomic_folder
from minidisc_plugin.integrations.hosts import require
from minidisc_plugin.nested.checkpoint import as_stock

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def export(model: PreTrainedModel, folder: Path, task: str = "text-classification") -> None:
    """Write a model, its layers of whatever widths, as ONNX in fp32.

    Raises:
        HostError: Optimum's exporter or ONNX Runtime cannot work.
    """
    require("onnx")
    from optimum.exporters.onnx import onnx_export_from_model

    with atomic_folder(folder) as temporary:
        onnx_export_from_model(as_stock(model), temporary, task=task, do_validation=False)


def load(folder: Path, kind: str = "ORTModelForSequenceClassification") -> Any:
    """The model in ONNX Runtime on the CPU, as an object of the class `kind`."""
    require("onnx")
    from optimum import onnxruntime

    return getattr(onnxruntime, kind).from_pretrained(str(folder), provider="CPUExecutionProvider")
