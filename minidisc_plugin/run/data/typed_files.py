"""Files that say what their columns are (Parquet, Arrow): `datasets` reads all of them as the first one says."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import IO, TYPE_CHECKING, Any

from minidisc_plugin.contracts.dataset import DatasetConfig
from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.foundation.packed_files import DataFile
from minidisc_plugin.run.data.columns import common_columns, wanted_columns
from minidisc_plugin.tasks.labels import declared_names

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import DatasetBuilder, Features


def is_typed(builder: DatasetBuilder) -> bool:
    """Whether a loader's files say what their columns are."""
    return builder.name in ("parquet", "arrow")


def typed_options(
    settings: DatasetConfig, builder: DatasetBuilder, files: Mapping[str, Sequence[DataFile]]
) -> dict[str, Any]:
    """Options by which files that differ in columns nobody asks for are read alike.

    Args:
        settings: The config's section.
        builder: The loader.
        files: Of each split.

    Raises:
        DataError: two files disagree on what the integers of a column are called, one lacks a column of the other, or
            one cannot be read or held; the message names the files.
    """
    from datasets import Features

    skipped = getattr(builder.config, "on_bad_files", "error") != "error"
    selects = hasattr(builder.config, "columns")
    found: dict[str, Features] = {}
    narrowed = False
    for file in chain.from_iterable(files.values()):
        schema = _schema(file, builder.name, skipped)
        if schema is not None:
            found[file.shown] = _held(schema, file.shown, () if selects else schema.names, settings)
            narrowed |= len(found[file.shown]) < len(schema.names)
    card = builder.info.features or {}
    wanted = wanted_columns(settings, found.values())
    for column in wanted:
        _check_names(column, found, card)
    common = common_columns(settings, found)
    if narrowed:  # the loader would look at the type of every column, were it not told those of some
        kinds = {name: kind for features in reversed(found.values()) for name, kind in features.items()} | {**card}
        return {"columns": wanted, "features": Features({name: kinds[name] for name in wanted})}
    return {"columns": common} if common is not None and selects else {}


def _held(schema: pa.Schema, file: str, needed: Sequence[str], settings: DatasetConfig) -> Features:
    """Features of the columns of a file, without those that `datasets` cannot hold and that nobody needs."""
    import pyarrow as pa
    from datasets import Features

    kept = []
    for field in schema:
        try:
            Features.from_arrow_schema(pa.schema([field]))
        except (ValueError, TypeError, NotImplementedError) as error:
            if field.name in (*needed, *settings.inputs, settings.label):
                raise DataError(
                    f"dataset.data_files: {file} has {field.type} in column {field.name!r}, which `datasets` cannot "
                    "hold; write it in another form, or leave the column out"
                ) from error
        else:
            kept.append(field)
    return Features.from_arrow_schema(pa.schema(kept, metadata=schema.metadata))


def _schema(file: DataFile, form: str, skipped: bool) -> pa.Schema | None:
    """What a file says of its columns; None where it is damaged, and such files are to be skipped."""
    import pyarrow as pa
    import pyarrow.parquet

    read = pyarrow.parquet.read_schema if form == "parquet" else _arrow_schema
    try:
        with file.opened() as opened:
            return read(io.BytesIO(opened.read()) if file.packed else opened)
    except pa.ArrowInvalid as error:
        if skipped:
            return None
        said = str(error).splitlines()[0]
        raise DataError(
            f"dataset.data_files: {file.shown} is no {form} file, or a damaged one ({said}); make it anew"
        ) from error


def _arrow_schema(file: IO[bytes]) -> pa.Schema:
    import pyarrow as pa

    try:
        return pa.ipc.open_stream(file).schema
    except pa.ArrowInvalid:
        file.seek(0)
        return pa.ipc.open_file(file).schema


def _check_names(column: str, found: Mapping[str, Features], card: Mapping[str, Any]) -> None:
    """Refuse integers that one file reads as other classes than the next, and names beside integers."""
    told = {file: declared_names(features[column]) for file, features in found.items() if column in features}
    carded = declared_names(card[column]) if column in card else None
    if carded is not None:  # it says how files are read that say nothing
        told = {
            "the card of the data set": carded,
            **{file: names for file, names in told.items() if names is not None},
        }
    (first, names), *others = told.items()
    for file, other in others:
        if names != other:
            raise DataError(
                f"dataset.data_files: column {column!r} {_in_words(names)} in {first} and {_in_words(other)} in "
                f"{file}; write all files with the same classes in the same order"
            )


def _in_words(names: Sequence[str] | None) -> str:
    return "declares no classes" if names is None else f"has the classes {', '.join(names)}"
