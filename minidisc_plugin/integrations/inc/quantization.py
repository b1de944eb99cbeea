"""Post-training quantization by Neural Compressor through Optimum Intel's `INCQuantizer`."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neural_compressor.config import PostTrainingQuantConfig
from neural_compressor.utils import pytorch
from optimum.intel import INCQuantizer
from transformers import AutoConfig
from transformers.utils import WEIGHTS_NAME

from minidisc_plugin.foundation.atomic import atomic_folder
from minidisc_plugin.integrations.workspace import workspace
from minidisc_plugin.nested.checkpoint import as_stock, class_for
from minidisc_plugin.plugins import families

# Models of images ask their first convolution for its type, and cast their inputs to it: 8 bits are none to cast to.
_LEFT = {"Conv2d": {"weight": {"dtype": ["fp32"]}, "activation": {"dtype": ["fp32"]}}}

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel


def quantize(
    model: PreTrainedModel, folder: Path, examples: Dataset | None, collator: Any, task: str = "text-classification"
) -> None:
    """Quantize linear layers to 8 bits and save as Optimum Intel does.

    Args:
        model: Left as it is.
        folder: Where to write.
        examples: Calibration data with the model's inputs only: activations are quantised by its ranges (static).
            None: by the ranges of each batch (dynamic).
        collator: Makes the calibration's batches.
        task: Optimum's name of what the model does.
    """
    approach = "dynamic" if examples is None else "static"
    quantizer = INCQuantizer.from_pretrained(as_stock(copy.deepcopy(model).cpu()), task=task)
    with atomic_folder(folder) as temporary, workspace(temporary):
        quantizer.quantize(
            quantization_config=PostTrainingQuantConfig(approach=approach, op_type_dict=_LEFT),
            save_directory=temporary,
            calibration_dataset=examples,
            data_collator=collator,
        )


def load(folder: Path) -> Any:
    """A model that `quantize` wrote.

    `INCModelForSequenceClassification` of Optimum Intel 1.27 cannot load any model with transformers 4.57.
    """
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    architecture = json.loads((folder / "config.json").read_text(encoding="utf-8"))["architectures"][0]
    model = class_for(architecture, config, families())(config)
    with workspace(folder):
        return pytorch.load(str(folder / WEIGHTS_NAME), as_stock(model)).eval()
