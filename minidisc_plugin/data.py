"""The dataset of a config, checked and tokenised: splits to train on, to select by, to stop by and to report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from minidisc_plugin.config import CompressionConfig, DatasetConfig
from minidisc_plugin.errors import DataError
from minidisc_plugin.splits import carve

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict
    from transformers import PretrainedConfig

    from minidisc_plugin.tasks import Task


@dataclass(frozen=True)
class Splits:
    """Tokenised splits of one run.

    Attributes:
        train: What is trained on.
        selection: Carved from train: importance and the choice of the assistant.
        validation: For early stopping, where there is one.
        report: What is reported; it never chose anything.
        report_name: Whether the reported split is the dataset's `test` or its `validation`.
    """

    train: Dataset
    selection: Dataset
    validation: Dataset | None
    report: Dataset
    report_name: Literal["test", "validation"]


def load_splits(config: CompressionConfig, task: Task, tokenizer: Any, model_config: PretrainedConfig) -> Splits:
    """Load, check and tokenise the dataset.

    Raises:
        DataError: it cannot be loaded, a split or column is missing or empty, or labels do not fit the model.
    """
    settings = config.dataset
    raw = _load(settings)
    validation_name = settings.validation_split or "validation"
    test_name = settings.test_split or "test"
    for key, name in (("validation_split", settings.validation_split), ("test_split", settings.test_split)):
        if name is not None and name not in raw:
            raise DataError(f"dataset.{key}: {name!r} is not a split; splits: {', '.join(raw)}")
    if settings.train_split not in raw:
        raise DataError(f"dataset.train_split: {settings.train_split!r} is not a split; splits: {', '.join(raw)}")
    if test_name not in raw and validation_name not in raw:
        raise DataError("dataset: neither a test nor a validation split to report on; add one to data_files")

    def checked(name: str) -> Dataset:
        return task.check(raw[name], name, settings, model_config)

    def features(examples: Dataset) -> Dataset:
        return task.features(examples, tokenizer, config.max_length)

    report_name: Literal["test", "validation"] = "test"
    if test_name not in raw or test_name == validation_name:
        report_name, test_name = "validation", validation_name
    has_validation = report_name == "test" and validation_name in raw
    if config.early_stopping_patience is not None and not has_validation:
        raise DataError(
            "early_stopping_patience: there is no validation split besides the reported one; add one, or remove the key"
        )
    # Examples are carved before they become features: those of one example stay on one side.
    train, selection = map(features, carve(checked(settings.train_split), config.selection_size, config.seed))
    validation = features(checked(validation_name)) if has_validation else None
    return Splits(train, selection, validation, features(checked(test_name)), report_name)


def _load(settings: DatasetConfig) -> DatasetDict:
    from datasets import DatasetDict, load_dataset

    keys = ("name", "data_dir", "data_files", "revision", "cache_dir")
    arguments = {key: getattr(settings, key) for key in keys if getattr(settings, key) is not None}
    try:
        found = load_dataset(settings.path, **arguments)
    except Exception as error:  # datasets raises many kinds; each means the same to the user
        raise DataError(f"dataset: {settings.path!r} cannot be loaded: {_first_cause(error)}") from error
    if not isinstance(found, DatasetDict):
        raise DataError(f"dataset: {settings.path!r} gives no named splits; use data_files with train and test")
    return found


def _first_cause(error: BaseException) -> str:
    """One line of the error that began it; `datasets` wraps what it meets in errors that say little."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip() or type(error).__name__).splitlines()[0]
