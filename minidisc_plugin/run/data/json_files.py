"""Data sets of JSON files, with the types that their values have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.dataset import DatasetConfig
from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.foundation.packed_files import DataFile
from minidisc_plugin.foundation.printable import shown
from minidisc_plugin.run.data.json_rows import json_rows

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset, DatasetDict

_CHUNK = 10_000
# Changes with how rows are read, so that what an earlier release cached is not taken for it.
_FORM = 1


def is_json(config: Any) -> bool:
    """Whether a loader's config is that of JSON files."""
    from datasets.packaged_modules.json.json import JsonConfig

    return isinstance(config, JsonConfig)


def read_json(
    settings: DatasetConfig, config: Any, files: Mapping[str, Sequence[DataFile]], content: str, features: Any
) -> DatasetDict:
    """Read every split.

    Args:
        settings: The config's section.
        config: The loader's.
        files: Of each split, on this machine.
        content: Differs with the content of the files.
        features: What the data set's card says of its columns; None where it says nothing.

    Raises:
        DataError: a file is no JSON, has no rows, or values of two kinds in a column that is asked for.
    """
    from datasets import Dataset, DatasetDict, Features

    form = (str(config.encoding or "utf-8"), config.encoding_errors, config.field)
    wanted = (*settings.inputs, settings.label)
    schemas = {split: _schema(listed, form, wanted) for split, listed in files.items()}
    found = DatasetDict()
    for split, schema in schemas.items():
        told = Features.from_arrow_schema(_filled(schema, schemas.values()))
        made: Dataset = Dataset.from_generator(
            _rows,
            features=told,
            cache_dir=settings.cache_dir,
            gen_kwargs={
                "files": tuple((file.shown, file.path, file.member) for file in files[split]),
                "form": form,
                "columns": tuple(told),
                "content": (content, _FORM),
            },
        )
        carded = {name: kind for name, kind in (features or {}).items() if name in told}
        found[split] = made.cast(Features({**told, **carded})) if carded else made
    return found


def _rows(files: Any, form: Any, columns: Any, content: Any) -> Iterator[dict[str, Any]]:
    del content  # is part of the cache's key
    for file in files:
        for row in json_rows(DataFile(*file), *form):
            yield {name: row.get(name) for name in columns}


def _schema(files: Sequence[DataFile], form: Any, wanted: Sequence[str]) -> pa.Schema:
    """Types of all columns of a split; of those nobody asks for, only such as have one."""
    import pyarrow as pa

    found: dict[str, pa.DataType | None] = {}
    samples: dict[str, tuple[Any, str]] = {}
    for file in files:
        start = 0
        rows = json_rows(file, *form)
        while chunk := list(islice(rows, _CHUNK)):
            for name in dict.fromkeys(name for row in chunk for name in row):
                cells = [row.get(name) for row in chunk]
                try:
                    known = found.get(name, pa.null())
                    found[name] = None if known is None else _merged(known, pa.array(cells).type)
                except (pa.ArrowException, UnicodeEncodeError, OverflowError, TypeError, ValueError) as error:
                    if name in wanted:
                        raise _odd_one(name, cells, file, start, samples.get(name)) from error
                    found[name] = None
                if name not in samples:
                    place = next((place for place, cell in enumerate(cells) if cell is not None), None)
                    if place is not None:
                        samples[name] = cells[place], f"row {start + place} of {file.shown}"
            start += len(chunk)
        if not start:
            raise DataError(f"dataset.data_files: {file.shown} has no rows; add some, or leave the file out")
    schema = pa.schema([(name, kind) for name, kind in found.items() if kind is not None])
    if not len(schema):
        raise DataError(
            f"dataset.data_files: {files[0].shown} has no column that can be read; give objects with the keys "
            f"{', '.join(wanted)}"
        )
    return schema


def _merged(first: pa.DataType, second: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    if first == second:
        return first
    parts = [pa.schema([("x", kind)]) for kind in (first, second)]
    return pa.unify_schemas(parts, promote_options="permissive").field("x").type


def _odd_one(name: str, cells: Sequence[Any], file: DataFile, start: int, sample: tuple[Any, str] | None) -> DataError:
    """Name the first cell that is of another kind than what stands before it, or that nothing can hold."""
    import pyarrow as pa

    known = pa.null() if sample is None else pa.array([sample[0]]).type
    for place, cell in enumerate(cells):
        where = f"row {start + place} of {file.shown}"
        try:
            kind = pa.array([cell]).type
        except (pa.ArrowException, UnicodeEncodeError, OverflowError, TypeError, ValueError):
            return DataError(
                f"dataset.data_files: {where} (from 0) has {shown(cell)} in column {name!r}, which cannot be held as "
                "text, as a number or as a list of one of them; correct it"
            )
        try:
            known = _merged(known, kind)
        except pa.ArrowException:
            first = "" if sample is None else f", and {sample[1]} has {shown(sample[0])}"
            return DataError(
                f"dataset.data_files: {where} (from 0) has {shown(cell)} in column {name!r}{first}; give values of "
                "one kind"
            )
        if sample is None and cell is not None:
            sample = cell, where
    return DataError(f"dataset.data_files: {file.shown} has values of two kinds in column {name!r}; give one kind")


def _filled(schema: pa.Schema, others: Any) -> pa.Schema:
    """A schema whose columns without any value, or of empty lists, are of the kind that another split has."""
    import pyarrow as pa

    fields = []
    for field in schema:
        kind = field.type
        for other in others:
            if "null" in str(kind) and field.name in other.names:
                try:
                    kind = _merged(kind, other.field(field.name).type)
                except pa.ArrowException:
                    continue
        fields.append((field.name, kind))
    return pa.schema(fields)
