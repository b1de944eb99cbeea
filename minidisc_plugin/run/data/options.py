"""The section `dataset.options`: keys of the loaders of `datasets`, each of the kind that its reader takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from minidisc_plugin.contracts.dataset import DatasetConfig
from minidisc_plugin.contracts.validation import unknown_key, validate
from minidisc_plugin.contracts.values import Distinct
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.run.data.csv_files import is_csv
from minidisc_plugin.run.data.json_files import is_json

if TYPE_CHECKING:
    from datasets import DatasetBuilder

# Of the loaders' own keys, those that would change what a cell says, or which columns there are.
_NOT_OPTIONS = {
    "features": "columns are read as they are",
    "converters": "texts and labels are read as they stand",
    "na_values": "texts and labels are read as they stand; leave rows out instead",
    "keep_default_na": "texts and labels are read as they stand",
    "na_filter": "texts and labels are read as they stand",
    "date_format": "texts and labels are read as they stand",
    "true_values": "labels are read by name",
    "false_values": "labels are read by name",
    "usecols": "other keys of the section, such as text and label, name the columns",
    "columns": "other keys of the section, such as text and label, name the columns",
    "index_col": "other keys of the section, such as text and label, name the columns",
    "skipfooter": "pandas does not take it for files that are read in parts",
    "prefix": "pandas does not take it any more",
    "mangle_dupe_cols": "pandas does not take it any more",
    "error_bad_lines": "pandas does not take it any more; see on_bad_lines",
    "warn_bad_lines": "pandas does not take it any more; see on_bad_lines",
    "verbose": "pandas does not take it any more",
}
_PAIRS = (("sep", "delimiter"), ("column_names", "names"))

_Character = Annotated[str, Field(min_length=1, max_length=1)]
_Count = Annotated[int, Field(ge=0)]
_Names = Annotated[list[str], Field(min_length=1), Distinct]
_Errors = Literal["strict", "ignore", "replace", "backslashreplace"]


class _Kinds(BaseModel):
    """Of values, as a reader takes them."""

    model_config = ConfigDict(extra="forbid", strict=True)

    encoding: str | None = None
    encoding_errors: _Errors | None = None


class _CsvOptions(_Kinds):
    """Of pandas' reader."""

    sep: Annotated[str, Field(min_length=1)] = ","
    delimiter: Annotated[str, Field(min_length=1)] = ","
    header: _Count | Literal["infer"] | None = "infer"
    names: _Names | None = None
    column_names: _Names | None = None
    engine: Literal["c", "python"] | None = None
    skipinitialspace: bool = False
    skiprows: _Count | list[_Count] | None = None
    nrows: Annotated[int, Field(ge=1)] | None = None
    skip_blank_lines: bool = True
    thousands: _Character | None = None
    decimal: _Character = "."
    lineterminator: _Character | None = None
    quotechar: _Character = '"'
    quoting: Literal[0, 1, 3] = 0
    escapechar: _Character | None = None
    comment: _Character | None = None
    dialect: Literal["excel", "excel-tab", "unix"] | None = None
    doublequote: bool = True
    memory_map: bool = False
    float_precision: Literal["high", "legacy", "round_trip"] | None = None
    chunksize: Annotated[int, Field(ge=1)] = 10_000
    on_bad_lines: Literal["error", "warn", "skip"] = "error"


class _JsonOptions(_Kinds):
    """Of our own reader."""

    field: str | None = None


class _TextOptions(_Kinds):
    """Of the loader of plain text."""

    chunksize: Annotated[int, Field(ge=1)] = 1
    keep_linebreaks: bool = False
    sample_by: Literal["line", "paragraph", "document"] = "line"


def checked_options(settings: DatasetConfig, builder: DatasetBuilder) -> dict[str, Any]:
    """The section, if the loader knows all of its keys and takes their values, over what a data set's card says.

    Raises:
        ConfigError: names the key.
    """
    from datasets import BuilderConfig

    kinds = _kinds(builder)
    general = {field.name for field in fields(BuilderConfig)}
    known = {field.name for field in fields(builder.config)} - general - set(_NOT_OPTIONS)
    readers = known if kinds is None else known & set(kinds.model_fields)
    for key in settings.options:
        if key in _NOT_OPTIONS:
            raise ConfigError(f"dataset.options.{key}: {_NOT_OPTIONS[key]}; remove it")
        if not known:
            raise ConfigError(f"dataset.options: {settings.path!r} takes none; remove them")
        if key not in known:
            raise ConfigError(unknown_key(f"dataset.options.{key}", sorted(readers)))
        if key not in readers:
            raise ConfigError(f"dataset.options.{key}: does nothing, for rows are read one by one; remove it")
    if kinds is not None:
        validate(kinds, settings.options, "dataset.options.")
    _refuse_pairs(settings.options)
    return {**_of_the_card(settings.options, builder.config, readers), **settings.options}


def _kinds(builder: DatasetBuilder) -> type[_Kinds] | None:
    if is_csv(builder.config):
        return _CsvOptions
    if is_json(builder.config):
        return _JsonOptions
    return _TextOptions if builder.name == "text" else None


def _of_the_card(given: Mapping[str, Any], config: Any, readers: set[str]) -> dict[str, Any]:
    """What a loader of text was told by the card of a data set, or by the names of its files."""
    if not hasattr(config, "encoding"):
        return {}
    settled = {key for pair in _PAIRS if set(pair) & given.keys() for key in pair}
    settled |= {"delimiter", "column_names"}  # which the loader copies to `sep` and `names`
    told = {field: getattr(config, field.name) for field in fields(config) if field.name in readers - settled}
    return {field.name: value for field, value in told.items() if value != field.default}


def _refuse_pairs(options: Mapping[str, Any]) -> None:
    for first, second in _PAIRS:
        if first in options and second in options:
            raise ConfigError(f"dataset.options.{second}: dataset.options.{first} is given, too; remove one of them")
