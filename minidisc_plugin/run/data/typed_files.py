"""Files that say what their columns are (Parquet, Arrow): `datasets` reads all of them as the first one says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.config import DatasetConfig
from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.run.data.columns import common_columns, wanted_columns
from minidisc_plugin.run.data.files import local_files
from minidisc_plugin.tasks.labels import declared_names

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import DatasetBuilder, Features


def typed_options(settings: DatasetConfig, builder: DatasetBuilder) -> dict[str, Any]:
    """Options by which files that differ in columns nobody asks for are read alike.

    Args:
        settings: The config's section.
        builder: The loader; one of files without types gets no options.

    Raises:
        DataError: two files disagree on what the integers of a column are called, one lacks a column of the other, or
            one cannot be read; the message names the files.
    """
    from datasets import Features

    found: dict[str, Features] = {}
    for file, schema in _schemas(builder):
        found[str(file)] = Features.from_arrow_schema(schema)
    if not found:
        return {}
    card = {} if builder.info.features is None else {"the dataset's card": builder.info.features}
    for column in wanted_columns(settings, found.values()):
        _check_names(column, {**card, **found})
    common = common_columns(settings, found)
    return {"columns": common} if common is not None and hasattr(builder.config, "columns") else {}


def _schemas(builder: DatasetBuilder) -> Iterator[tuple[Path, pa.Schema]]:
    """What each file on this machine says of its columns."""
    import pyarrow as pa
    import pyarrow.parquet

    readers: dict[str, Any] = {"parquet": pyarrow.parquet.read_schema, "arrow": _arrow_schema}
    skipped = getattr(builder.config, "on_bad_files", "error") != "error"
    for _, path in local_files(builder.config) if builder.name in readers else ():
        try:
            yield path, readers[builder.name](path)
        except pa.ArrowInvalid as error:
            if not skipped:
                said = str(error).splitlines()[0]
                raise DataError(
                    f"dataset.data_files: {path} is no {builder.name} file, or a damaged one ({said}); make it anew"
                ) from error


def _arrow_schema(path: Path) -> pa.Schema:
    import pyarrow as pa

    with pa.OSFile(str(path)) as file:
        try:
            return pa.ipc.open_stream(file).schema
        except pa.ArrowInvalid:
            return pa.ipc.open_file(file).schema


def _check_names(column: str, found: Mapping[str, Features]) -> None:
    """Refuse integers that one file reads as other classes than the next, and names beside integers."""
    told = {file: declared_names(features[column]) for file, features in found.items() if column in features}
    (first, names), *others = told.items()
    for file, other in others:
        if names != other:
            raise DataError(
                f"dataset.data_files: column {column!r} {_in_words(names)} in {first} and {_in_words(other)} in "
                f"{file}; write all files with the same classes in the same order"
            )


def _in_words(names: Sequence[str] | None) -> str:
    return "declares no classes" if names is None else f"has the classes {', '.join(names)}"
