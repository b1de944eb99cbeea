"""The dataset of a config as `datasets` reads it, with texts and labels as they stand in their files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.dataset import DatasetConfig
from minidisc_plugin.foundation.errors import DataError, MinidiscError
from minidisc_plugin.foundation.printable import one_line, shortened
from minidisc_plugin.foundation.storage import cache_error

if TYPE_CHECKING:
    from datasets import DatasetBuilder, DatasetDict

_LONGEST = 300


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

    from minidisc_plugin.run.data.folders import refuse_file
    from minidisc_plugin.run.data.options import checked_options
    from minidisc_plugin.run.data.patterns import refuse_repeated, refuse_strays, refuse_unmatched
    from minidisc_plugin.run.data.saved import as_saved, refuse_left_over

    try:
        refuse_file(settings)
        told = as_saved(settings)
        builder = _builder(told, {})
        refuse_unmatched(told, builder.config.data_files or {})
        refuse_repeated(told, builder.config.data_files or {})
        refuse_strays(told, builder.config)
        if builder.name == "arrow":
            refuse_left_over(builder.config)
        builder, found = _read(told, builder, checked_options(told, builder))
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


def _read(
    settings: DatasetConfig, builder: DatasetBuilder, options: dict[str, Any]
) -> tuple[DatasetBuilder, DatasetDict]:
    """Read by the loader, or by readers of our own where it guesses, after its files are looked through."""
    from minidisc_plugin.foundation.text_files import check_encoding
    from minidisc_plugin.run.data.content import content_key
    from minidisc_plugin.run.data.csv_files import check_counts, csv_options, is_csv
    from minidisc_plugin.run.data.files import files_of
    from minidisc_plugin.run.data.json_files import is_json, read_json
    from minidisc_plugin.run.data.typed_files import is_typed, typed_options

    text = hasattr(builder.config, "encoding")
    files = files_of(settings, builder) if text or is_typed(builder) else {}
    if text:
        check_encoding(chain.from_iterable(files.values()), options)
    content = content_key(builder.config)
    if is_json(builder.config):
        builder = _builder(settings, options)
        return builder, read_json(settings, builder.config, files, str(content), builder.info.features)
    rows: dict[str, int] = {}
    if is_csv(builder.config):
        options, rows = csv_options(settings, builder.config, options, files)
    if is_typed(builder):
        options |= typed_options(settings, builder, files)
    options |= content
    if options:
        builder = _builder(settings, options)
    builder.download_and_prepare()
    found = builder.as_dataset()
    check_counts(rows, found)
    return builder, found


def _builder(settings: DatasetConfig, options: Mapping[str, Any]) -> DatasetBuilder:
    from datasets import load_dataset_builder

    from minidisc_plugin.run.data.patterns import loader_arguments
    from minidisc_plugin.run.data.stored_audio import leave_encoded

    builder = load_dataset_builder(**loader_arguments(settings), **options)
    leave_encoded(builder)
    return builder


def _first_cause(error: BaseException) -> str:
    """One line of the error that began it; `datasets` wraps what it meets in errors that say little."""
    while error.__cause__ is not None:
        error = error.__cause__
    return shortened(one_line(str(error)) or type(error).__name__, _LONGEST)
