"""Columns whose values lie in files of their own, or as bytes: images and sounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from minidisc_plugin.contracts.inputs import Inputs
from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.foundation.printable import one_line, shortened
from minidisc_plugin.foundation.processes import is_writer
from minidisc_plugin.tasks.columns import require_column

if TYPE_CHECKING:
    from datasets import Dataset

    from minidisc_plugin.contracts.dataset import DatasetConfig

_AT_ONCE = 256
# Types of Arrow that no feature of `datasets` is cast from, and those of what they hold.
_PLAIN = {"large_string": "string", "string_view": "string", "large_binary": "binary", "binary_view": "binary"}

Found = TypeVar("Found")


class UnusableError(Exception):
    """What is wrong with a value, in words that follow "row 3 of ..."."""


def column_of(split: Dataset, where: str, columns: DatasetConfig, inputs: Inputs, name: str, kind: Any) -> Dataset:
    """The column of a split that a model's inputs are made of, as the only one.

    Args:
        split: The split.
        where: What it is called.
        columns: Name the column.
        inputs: What it holds.
        name: What it is called from here on.
        kind: The feature of `datasets` that it has to be.

    Raises:
        DataError: it is missing, or holds something else.
    """
    from datasets import Value

    column = str(getattr(columns, inputs.key))
    require_column(split, where, inputs.key, column)
    found = split.select_columns([column]).rename_column(column, name)
    try:
        plain = _PLAIN.get(getattr(found.features[name], "dtype", ""))
        return (found if plain is None else found.cast_column(name, Value(plain))).cast_column(name, kind)
    except (TypeError, NotImplementedError, ValueError) as error:  # of pyarrow, which has kinds of its own
        raise DataError(
            f"dataset.{inputs.key}: column {column!r} of split {where!r} holds {split.features[column]}, and no "
            f"{inputs.said}; give {inputs.said}, their bytes, or paths of their files"
        ) from error


def looked_through(
    stored: Dataset, where: str, columns: DatasetConfig, inputs: Inputs, look: Callable[[Mapping[str, Any]], Found]
) -> list[Found]:
    """Look at every value once, so that a broken one is told before anything is trained.

    Args:
        stored: One column, whose values are of bytes and path.
        where: What the split is called.
        columns: Name the column.
        inputs: What it holds.
        look: What is wanted of a value; several run at once.

    Raises:
        DataError: a value is missing, or cannot be read.
    """
    from datasets.utils import tqdm

    def looked(row: Mapping[str, Any]) -> tuple[Found | None, str]:
        (value,) = row.values()
        if value is None or (not value["path"] and value["bytes"] is None):
            return None, "has none"
        name = shortened(value["path"] or "what the column holds")
        try:
            return look(value), ""
        except UnusableError as error:
            return None, f"{error}: {name}"
        except FileNotFoundError:
            relative = "" if "://" in name else " (paths are relative to the working directory)"
            return None, f"cannot be read: {name} is not there{relative}"
        except Exception as error:  # each format has a reader of its own
            return None, f"cannot be read: {name} is no {inputs.key}: {shortened(one_line(str(error)))}"

    place = f"column {getattr(columns, inputs.key)!r} of split {where!r}"
    rows, found = iter(stored), list[Any]()
    bar = tqdm(total=len(stored), desc=f"looking through {inputs.said}", disable=not is_writer(), leave=False)
    with ThreadPoolExecutor() as readers, bar:
        while part := list(islice(rows, _AT_ONCE)):
            for value, wrong in readers.map(looked, part):
                if wrong:
                    raise DataError(
                        f"dataset.{inputs.key}: row {len(found)} (from 0) of {place} {wrong}; correct it, or leave it "
                        "out"
                    )
                found.append(value)
            bar.update(len(part))
    return found
