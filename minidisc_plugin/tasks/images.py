"""Images of a data set: checked once, and turned into a model's inputs batch by batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any

from minidisc_plugin.foundation.errors import ConfigError, DataError
from minidisc_plugin.foundation.printable import one_line, shortened
from minidisc_plugin.foundation.processes import is_writer
from minidisc_plugin.tasks.columns import require_column

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor

    from minidisc_plugin.contracts.dataset import DatasetConfig

PIXELS = "pixel_values"
"""What models of transformers call the numbers of images, and features the images themselves."""
SIZE = "minidisc size"
"""Column of checked images: width, height."""
_AT_ONCE = 256
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
    return found.add_column(SIZE, _read_all(found, f"column {column!r} of split {where!r}"))


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


def _read_all(images: Dataset, where: str) -> list[list[int]]:
    """Read every image once, so that a broken one is told before anything is trained; the size of each."""
    from datasets import Image
    from datasets.utils import tqdm

    stored = iter(images.cast_column(PIXELS, Image(decode=False)))
    with (
        ThreadPoolExecutor() as readers,
        tqdm(total=len(images), desc="looking through images", disable=not is_writer(), leave=False) as bar,
    ):
        sizes: list[list[int]] = []
        while part := list(islice(stored, _AT_ONCE)):
            for found in readers.map(_size_of, (each[PIXELS] for each in part)):
                if isinstance(found, str):
                    raise DataError(
                        f"dataset.image: row {len(sizes)} (from 0) of {where} {found}; correct it, or leave it out"
                    )
                sizes.append(found)
            bar.update(len(part))
    return sizes


def _size_of(stored: Mapping[str, Any] | None) -> list[int] | str:
    """Width and height of an image as a data set stores it; or what is wrong with it, in words."""
    from datasets import Image

    if stored is None or (not stored["path"] and stored["bytes"] is None):
        return "has none"
    name = shortened(stored["path"] or "what the column holds")
    try:
        image = Image().decode_example(dict(stored))
    except FileNotFoundError:
        return f"cannot be read: {name} is not there (paths are relative to the working directory)"
    except Exception as error:  # each format of images has a reader of its own
        return f"cannot be read: {name} is no image: {shortened(one_line(str(error)))}"
    if image.mode.startswith(_DEEP):
        return f"has more than 8 bits a channel (mode {image.mode}), of which RGB keeps nothing: {name}"
    return [image.width, image.height]
