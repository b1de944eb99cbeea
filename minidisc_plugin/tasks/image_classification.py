"""Classification of images: they stay in their files, and become numbers batch by batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from minidisc_plugin.contracts.input_shape import InputShape
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.tasks.classification import LABELS, Classification
from minidisc_plugin.tasks.images import PIXELS, SIZE, ImageCollator, check_sizes, images_of

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from transformers import PretrainedConfig

    from minidisc_plugin.contracts.dataset import DatasetConfig

_MODES = {1: "L", 3: "RGB"}


class ImageClassification(Classification):
    """Examples are images, read by the teacher's own image processor.

    A feature has the name of the input that the collator makes of it, `pixel_values`, so that loops which leave out
    what a model does not take leave it in.

    Args:
        channels: Of the model's images: 1 is grey, 3 is red, green and blue.
    """

    name = "image-classification"
    auto_class = "AutoModelForImageClassification"
    runtime_classes = {  # noqa: RUF012
        "openvino": "OVModelForImageClassification",
        "onnx": "ORTModelForImageClassification",
    }
    reader = "image processor"
    sequences = ()

    def __init__(self, channels: int = 3) -> None:
        self.channels = channels

    @classmethod
    def of(cls, config: PretrainedConfig) -> Self:
        """The task as a model of this config does it."""
        return cls(int(getattr(getattr(config, "vision_config", config), "num_channels", 3)))

    def check(self, split: Dataset, where: str, columns: DatasetConfig, config: PretrainedConfig) -> Dataset:
        """See Task."""
        return self.with_labels(images_of(split, where, columns), split, where, columns, config)

    def unlabelled(self, split: Dataset, where: str, columns: DatasetConfig, config: PretrainedConfig) -> Dataset:
        """See Task."""
        return self.with_placeholders(images_of(split, where, columns), config)

    def features(self, examples: Dataset, processor: Any, max_length: int) -> Dataset:
        """See Task; images are read batch by batch, and here no more than some of each size.

        Raises:
            ConfigError: the image processor cannot read them.
            DataError: it makes them of several sizes.
        """
        check_sizes(examples, self.collator(processor))
        return examples.remove_columns([SIZE]).rename_column(LABELS, "labels")

    def numbers(self, features: Dataset, processor: Any) -> Dataset:
        """See Task."""
        import numpy as np

        collate = self.collator(processor)

        def read(batch: dict[str, list[Any]]) -> dict[str, Any]:
            found = collate([{PIXELS: image} for image in batch[PIXELS]])
            return {PIXELS: np.asarray(found[PIXELS])}

        others = [name for name in features.column_names if name != PIXELS]
        return features.map(read, batched=True, batch_size=16, remove_columns=others, features=None, desc="reading")

    def shape_of(self, batch: Mapping[str, Tensor]) -> InputShape:
        """See Task."""
        height, width = batch[PIXELS].shape[-2:]
        return InputShape(image_size=(height, width))

    def collator(self, processor: Any) -> ImageCollator:
        """See Task."""
        if self.channels not in _MODES:
            raise ConfigError(f"model: its images have {self.channels} channels, and files of images 1 or 3")
        return ImageCollator(processor, _MODES[self.channels])
