"""Images of a data set: checked once, and turned into a model's inputs batch by batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.inputs import IMAGES
from minidisc_plugin.foundation.errors import ConfigError, DataError
from minidisc_plugin.foundation.printable import one_line
from minidisc_plugin.tasks.files import UnusableError, column_of, looked_through

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor

    from minidisc_plugin.contracts.dataset import DatasetConfig

PIXELS = "pixel_values"
"""What models of transformers call the numbers of images, and features the images themselves."""
SIZE = "minidisc size"
"""Column of checked images: width, height."""
# Sizes of a data set that are tried, the extremes among them.
_SIZES = 64
# Whose values PIL cuts off at 255 where it makes RGB of them.
_DEEP = ("I", "F")


class ImageCollator:
    """Makes a batch of images as the teacher's image processor does, without augmentation.

    Args:
        processor: The image processor.
        mode: What images are turned into first, as PIL calls it: "RGB", or "L" for grey.
    """

    def __init__(self, processor: Any, mode: str) -> None:
        self.processor = processor
        self.mode = mode

    def __call__(self, rows: list[Any]) -> dict[str, Tensor]:
        """`pixel_values` (rows, channels, height, width), and tensors (rows, ...) of every other column."""
        import torch

        read = self.processor([self._converted(row[PIXELS]) for row in rows], return_tensors="pt")
        others = {name: torch.tensor([row[name] for row in rows]) for name in rows[0] if name != PIXELS}
        return {PIXELS: read[PIXELS], **others}

    def _converted(self, image: Any) -> Any:
        import numpy as np

        image = image.convert(self.mode)
        # Of grey images some image processors look for an axis of channels.
        return np.asarray(image)[..., None] if self.mode == "L" else image


def images_of(split: Dataset, where: str, columns: DatasetConfig) -> Dataset:
    """The images of a split, `pixel_values`, and their sizes; all of them can be read.

    Raises:
        DataError: the column is missing or holds no images, or an image cannot be read.
    """
    from datasets import Image

    stored = column_of(split, where, columns, IMAGES, PIXELS, Image(decode=False))
    sizes = looked_through(stored, where, columns, IMAGES, _size_of)
    return stored.cast_column(PIXELS, Image()).add_column(SIZE, sizes)


def check_sizes(images: Dataset, collate: ImageCollator) -> None:
    """Refuse images that a batch could not hold together.

    Args:
        images: As `images_of` gives them.
        collate: Makes batches.

    Raises:
        ConfigError: the image processor cannot read one.
        DataError: it makes images of several sizes of them.
    """
    places: dict[tuple[int, int], int] = {}
    for place, size in enumerate(images[SIZE]):
        places.setdefault((size[0], size[1]), place)
    sizes = sorted(places, key=lambda size: size[0] / size[1])
    ends = {choose(places, key=key) for choose in (min, max) for key in (lambda size: size[0], lambda size: size[1])}
    tried = list(dict.fromkeys([*sizes[:: -(-len(sizes) // _SIZES)], sizes[-1], *sorted(ends)]))
    made: dict[tuple[int, ...], tuple[int, int]] = {}
    for size in tried:
        try:
            found = collate([{PIXELS: images[places[size]][PIXELS]}])[PIXELS]
        except Exception as error:  # each image processor fails in a way of its own
            raise ConfigError(
                f"tokenizer: the image processor cannot read an image of {size[0]} x {size[1]} pixels: "
                f"{one_line(str(error))}; correct its preprocessor_config.json"
            ) from error
        made.setdefault(tuple(found.shape[2:]), size)
    if len(made) > 1:
        one, other = list(made.items())[:2]
        raise DataError(
            f"dataset.image: an image of {_by(one[1])} pixels becomes one of {_by(one[0])} for the model, and one of "
            f"{_by(other[1])} becomes {_by(other[0])}: a batch holds one size; set do_resize with one height and "
            "width, or do_center_crop, in the teacher's preprocessor_config.json, or give images of one size"
        )


def _by(size: Sequence[int]) -> str:
    return " x ".join(map(str, size))


def _size_of(stored: Mapping[str, Any]) -> list[int]:
    """Width and height of an image as a data set stores it."""
    from datasets import Image

    image = Image().decode_example(dict(stored))
    if image.mode.startswith(_DEEP):
        raise UnusableError(f"has more than 8 bits a channel (mode {image.mode}), of which RGB keeps nothing")
    return [image.width, image.height]
