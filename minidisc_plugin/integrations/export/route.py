"""What each way to another runtime can do, and the one that the installed versions take."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from minidisc_plugin.integrations.hosts import require

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from transformers import PreTrainedModel

    from minidisc_plugin.contracts.task import Task

Format = Literal["openvino", "onnx"]

_HOMES: Mapping[tuple[Format, str], str] = {
    ("openvino", "optimum"): "optimum_openvino.OptimumOpenVINO",
    ("openvino", "transformers"): "exporters_openvino.ExportersOpenVINO",
    ("onnx", "optimum"): "optimum_onnx.OptimumONNX",
    ("onnx", "transformers"): "exporters_onnx.ExportersONNX",
}


class Route(ABC):
    """Exports, quantizes and loads models of one format by one host.

    Args:
        task: What the models do.
    """

    def __init__(self, task: Task) -> None:
        self.task = task

    def refused(self, sample: Mapping[str, Tensor]) -> str:
        """Why a model of this route could not be given such inputs; empty where it can.

        Args:
            sample: Inputs by name.
        """
        return ""

    def unable(self, scheme: str) -> str:
        """Why models of the task are not written by a scheme that the hosts have; empty where they are.

        Args:
            scheme: As `quantization.schemes` names it.
        """
        return ""

    @abstractmethod
    def export(self, model: PreTrainedModel, folder: Path, sample: Mapping[str, Tensor]) -> None:
        """Write a model, its layers of whatever widths, in fp32.

        Args:
            model: On the CPU, in evaluation mode; left as it is.
            folder: Where to write; takes the place of what is there.
            sample: Inputs by name, of two examples or more, that a host may trace the model with.
        """

    @abstractmethod
    def quantize(
        self, scheme: str, source: Path, folder: Path, examples: Dataset, sample: Mapping[str, Tensor]
    ) -> None:
        """Write an exported model in fewer bits.

        Args:
            scheme: As `quantization.schemes` names it.
            source: What `export` wrote.
            folder: Where to write.
            examples: For ranges of activations: columns of the model's inputs, in lists.
            sample: As `export` had it.
        """

    @abstractmethod
    def load(self, folder: Path) -> Any:
        """The model on the CPU, tuned for latency: called with a batch by name, it returns its outputs by name."""

    @property
    @abstractmethod
    def opened(self) -> str:
        """Python that defines `opened(folder)`, which loads the model, in fp32, without this package."""


def batches_of_one(examples: Dataset, sample: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """Each example as a batch of the inputs in `sample`, and of their types: a data set gives masks of 32 bits as 64.

    Args:
        examples: Columns of inputs, in lists.
        sample: Inputs by name.
    """
    rows = examples.select_columns([name for name in examples.column_names if name in sample]).with_format("torch")
    return [{name: value.unsqueeze(0).to(sample[name].dtype) for name, value in row.items()} for row in rows]


def route_for(format_name: Format, task: Task) -> Route:
    """The route to a format that the installed versions take.

    Raises:
        HostError: none can work.
    """
    module, name = _HOMES[format_name, require(format_name)].split(".")
    made: Route = getattr(import_module(f"{__package__}.{module}"), name)(task)
    return made
