"""Images of a data set: checked once, and turned into a model's inputs batch by batch."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any

from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.foundation.printable import one_line
from minidisc_plugin.foundation.processes import is_writer
from minidisc_plugin.tasks.columns import require_column

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor

    from minidisc_plugin.contracts.dataset import DatasetConfig

PIXELS = "pixel_values"
"""What models of transformers call the numbers of images, and features the images themselves."""
_AT_ONCE = 256


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
    """The images of a split as the only column, `pixel_values`; all of them can be read.

    Raises:
        DataError: the column is missing or holds no images, or an image cannot be read.
    """
    from datasets import Image

    column = str(columns.image)
    require_column(split, where, "image", column)
    found = split.select_columns([column]).rename_column(column, PIXELS)
    if not isinstance(found.features[PIXELS], Image):
        try:
            found = found.cast_column(PIXELS, Image())
        except (TypeError, NotImplementedError, ValueError) as error:  # of pyarrow, which has kinds of its own
            raise DataError(
                f"dataset.image: column {column!r} of split {where!r} holds {split.features[column]}, and no images; "
                "give images, their bytes, or paths of their files"
            ) from error
    _read_all(found, f"column {column!r} of split {where!r}")
    return found


def _read_all(images: Dataset, where: str) -> None:
    """Read every image once, so that a broken one is told before anything is trained."""
    from datasets import Image
    from datasets.utils import tqdm

    stored = iter(images.cast_column(PIXELS, Image(decode=False)))
    with (
        ThreadPoolExecutor() as readers,
        tqdm(total=len(images), desc="looking through images", disable=not is_writer(), leave=False) as bar,
    ):
        first = 0
        while part := list(islice(stored, _AT_ONCE)):
            for row, wrong in enumerate(readers.map(_wrong_with, (each[PIXELS] for each in part)), start=first):
                if wrong:
                    raise DataError(
                        f"dataset.image: row {row} (from 0) of {where} {wrong}; correct it, or leave it out"
                    )
            first += len(part)
            bar.update(len(part))


def _wrong_with(stored: Mapping[str, Any] | None) -> str:
    """What is wrong with an image as a data set stores it; empty where nothing is."""
    from datasets import Image

    if stored is None or (not stored["path"] and stored["bytes"] is None):
        return "has none"
    try:
        Image().decode_example(dict(stored))
    except Exception as error:  # each format of images has a reader of its own
        what = "is not there" if isinstance(error, FileNotFoundError) else f"is no image: {one_line(str(error))}"
        return f"cannot be read: {stored['path'] or 'what the column holds'} {what}"
    return ""
