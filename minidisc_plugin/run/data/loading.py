"""The dataset of a config, checked and tokenised: splits to train on, to select by, to stop by and to report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.run import Splits
from minidisc_plugin.run.data.reading import read_dataset
from minidisc_plugin.run.data.splits import carve, choose_splits, warn_of_shared_files

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PretrainedConfig

    from minidisc_plugin.contracts.task import Task


def load_splits(config: CompressionConfig, task: Task, tokenizer: Any, model_config: PretrainedConfig) -> Splits:
    """Load, check and tokenise the dataset.

    Raises:
        ConfigError: a key of the section `dataset` cannot be used.
        DataError: it cannot be loaded, a split or column is missing or empty, or labels do not fit the model.
    """
    settings = config.dataset
    raw, files = read_dataset(settings)
    chosen = choose_splits(settings, list(raw), config.early_stopping_patience)
    warn_of_shared_files(chosen, files)

    def checked(name: str) -> Dataset:
        return task.check(raw[name], name, settings, model_config)

    def features(examples: Dataset) -> Dataset:
        return task.features(examples, tokenizer, config.max_length)

    # Examples are carved before they become features: those of one example stay on one side.
    train, selection = map(features, carve(checked(chosen.train), config.selection_size, config.seed))
    validation = None if chosen.validation is None else features(checked(chosen.validation))
    return Splits(train, selection, validation, features(checked(chosen.report)), chosen.report)
