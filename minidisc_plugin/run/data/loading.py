"""The dataset of a config, checked and tokenised: splits to train on, to select by, to stop by and to report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.run import Splits
from minidisc_plugin.run.data.altering import altered_copies
from minidisc_plugin.run.data.splits import carve, choose_splits, warn_of_shared_files
from minidisc_plugin.run.data.unlabelled import read_splits

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
    raw, files = read_splits(settings)
    chosen = choose_splits(settings, list(raw), config.early_stopping_patience)
    warn_of_shared_files(chosen, files)

    def checked(name: str) -> Dataset:
        return task.check(raw[name], name, settings, model_config)

    def features(examples: Dataset) -> Dataset:
        return task.features(examples, tokenizer, config.max_length)

    # Examples are carved before they become features: those of one example stay on one side.
    train, selection = carve(checked(chosen.train), config.selection_size, config.seed)
    unlabelled = altered = None
    if chosen.unlabelled is not None:
        unlabelled = task.unlabelled(raw[chosen.unlabelled], chosen.unlabelled, settings, model_config)
    if copies := config.distillation.augment:
        altered = altered_copies(task, train, copies, config.distillation.augment_share, config.seed)
    return Splits(
        train=features(train),
        selection=features(selection),
        validation=None if chosen.validation is None else features(checked(chosen.validation)),
        report=features(checked(chosen.report)),
        report_name=chosen.report,
        unlabelled=None if unlabelled is None else features(unlabelled),
        altered=None if altered is None else features(altered),
    )
