"""What both formats of `transformers.exporters` have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from minidisc_plugin.foundation.atomic import atomic_folder
from minidisc_plugin.foundation.model_files.quiet import quiet
from minidisc_plugin.integrations.export.route import Route, batches_of_one
from minidisc_plugin.nested.checkpoint import as_stock

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from transformers import PreTrainedModel

_OPENED = """
def opened(folder):
    from transformers.exporters import ExportedModel
    return ExportedModel.from_pretrained(folder, device="cpu", local_files_only=True, **{settings!r})
"""


class Exporters(Route):
    """`transformers.exporters`: traced by `torch.export`, saved with what `ExportedModel` needs to load it.

    Attributes:
        settings: Of the runtime, for serving.
        exact: Of the runtime, to compute in fp32.
    """

    settings: ClassVar[Mapping[str, Any]] = {}
    exact: ClassVar[Mapping[str, Any]] = {}

    @abstractmethod
    def traced(self, model: PreTrainedModel, sample: dict[str, Tensor]) -> Any:
        """The exported model, every axis of its inputs free."""

    @abstractmethod
    def quantizer(self, scheme: str, calibration: list[dict[str, Tensor]]) -> tuple[Any, Any]:
        """What quantizes by a scheme, and the format that it is told."""

    def export(self, model: PreTrainedModel, folder: Path, sample: Mapping[str, Tensor]) -> None:
        """See Route."""
        with atomic_folder(folder) as temporary, quiet():
            self.traced(as_stock(model), dict(sample)).save_pretrained(temporary)

    def quantize(
        self, scheme: str, source: Path, folder: Path, examples: Dataset, sample: Mapping[str, Tensor]
    ) -> None:
        """See Route; nothing is traced again."""
        calibration = batches_of_one(examples, sample)
        with atomic_folder(folder) as temporary, quiet():
            exported = self.load(source)
            quantizer, format_name = self.quantizer(scheme, calibration)
            for part in exported.components.values():
                part.program = quantizer.quantize(part.program, dict(sample), format_name)
            exported.save_pretrained(temporary)

    def load(self, folder: Path) -> Any:
        """See Route."""
        from transformers.exporters import ExportedModel

        return ExportedModel.from_pretrained(folder, device="cpu", local_files_only=True, **self.settings)

    @staticmethod
    def axes(sample: Mapping[str, Tensor]) -> dict[str, dict[int, Any]]:
        """Which axes of each input are free: examples, and all where it is of tokens."""
        from torch.export import Dim

        free = {name: (0,) if value.is_floating_point() else range(value.dim()) for name, value in sample.items()}
        return {name: dict.fromkeys(places, Dim.AUTO) for name, places in free.items()}

    @property
    def opened(self) -> str:
        """See Route."""
        return _OPENED.format(settings=dict(self.exact))
