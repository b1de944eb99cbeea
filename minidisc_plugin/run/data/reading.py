"""The dataset of a config as `datasets` reads it, with texts and labels as they stand in their files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.config import DatasetConfig
from minidisc_plugin.contracts.validation import unknown_key
from minidisc_plugin.foundation.errors import ConfigError, DataError, MinidiscError
from minidisc_plugin.foundation.storage import cache_error

if TYPE_CHECKING:
    from datasets import DatasetBuilder, DatasetDict

# Of the loaders' own keys, those that would change what a cell says, or which columns there are.
_NOT_OPTIONS = {
    "features": "columns are read as they are",
    "converters": "texts and labels are read as they stand",
    "na_values": "texts and labels are read as they stand; leave rows out instead",
    "keep_default_na": "texts and labels are read as they stand",
    "na_filter": "texts and labels are read as they stand",
    "true_values": "labels are read by name",
    "false_values": "labels are read by name",
    "usecols": "dataset.text and dataset.label name the columns",
    "columns": "dataset.text and dataset.label name the columns",
    "index_col": "dataset.text and dataset.label name the columns",
}


def read_dataset(settings: DatasetConfig) -> tuple[DatasetDict, Mapping[str, Sequence[str]]]:
    """Load every split.

    Returns:
        The splits, and the files of each as far as the loader tells.

    Raises:
        ConfigError: a key of `options` is none of the loader's.
        DataError: the dataset cannot be loaded; the message names the file where one can be blamed.
        StorageError: the disk of the datasets' cache refuses.
    """
    from datasets import DatasetDict

    from minidisc_plugin.foundation.text_files import check_encoding
    from minidisc_plugin.run.data.content import content_key
    from minidisc_plugin.run.data.csv_files import csv_options, is_csv
    from minidisc_plugin.run.data.typed_files import typed_options

    try:
        builder = _builder(settings, {})
        options = _checked_options(settings, builder)
        check_encoding(builder.config, options)
        if is_csv(builder.config):
            options = csv_options(settings, builder.config, options)
        options |= typed_options(settings, builder)
        options |= content_key(builder.config)
        if options:
            builder = _builder(settings, options)
        builder.download_and_prepare()
        found = builder.as_dataset()
    except MinidiscError:
        raise
    except Exception as error:  # datasets raises many kinds; each means the same to the user
        refused = cache_error(error, settings.cache_dir or os.environ.get("HF_DATASETS_CACHE"))
        if refused is not None:
            raise refused from error
        missing = isinstance(error, FileNotFoundError) and settings.data_files is not None
        key = "dataset.data_files" if missing else "dataset"
        raise DataError(f"{key}: {settings.path!r} cannot be loaded: {_first_cause(error)}") from error
    if not isinstance(found, DatasetDict):
        raise DataError(f"dataset: {settings.path!r} gives no named splits; use data_files with train and test")
    return found, builder.config.data_files or {}


def _builder(settings: DatasetConfig, options: Mapping[str, Any]) -> DatasetBuilder:
    from datasets import load_dataset_builder

    keys = ("name", "data_dir", "data_files", "revision", "cache_dir")
    arguments = {key: getattr(settings, key) for key in keys if getattr(settings, key) is not None}
    return load_dataset_builder(settings.path, **arguments, **options)


def _checked_options(settings: DatasetConfig, builder: DatasetBuilder) -> dict[str, Any]:
    """The section `options`, if the loader knows all of its keys."""
    from datasets import BuilderConfig

    general = {field.name for field in fields(BuilderConfig)}
    known = {field.name for field in fields(builder.config)} - general - set(_NOT_OPTIONS)
    for key in settings.options:
        if key in _NOT_OPTIONS:
            raise ConfigError(f"dataset.options.{key}: {_NOT_OPTIONS[key]}; remove it")
        if not known:
            raise ConfigError(f"dataset.options: {settings.path!r} takes none; remove them")
        if key not in known:
            raise ConfigError(unknown_key(f"dataset.options.{key}", sorted(known)))
    return dict(settings.options)


def _first_cause(error: BaseException) -> str:
    """One line of the error that began it; `datasets` wraps what it meets in errors that say little."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip() or type(error).__name__).splitlines()[0]
