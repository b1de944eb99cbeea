"""The dataset of a config, checked, as features: splits to train on, to select by, to stop by and to report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.run import Splits
from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.run.data.altering import altered_copies
from minidisc_plugin.run.data.domains import Domains, with_domain, without_domain
from minidisc_plugin.run.data.shared_files import warn_of_shared_files
from minidisc_plugin.run.data.splits import carve, choose_splits
from minidisc_plugin.run.data.unlabelled import read_splits

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PretrainedConfig

    from minidisc_plugin.contracts.dataset import DatasetConfig
    from minidisc_plugin.contracts.task import Task


def load_splits(config: CompressionConfig, task: Task, processor: Any, model_config: PretrainedConfig) -> Splits:
    """Load and check the dataset, and make features of it.

    Raises:
        ConfigError: a key of the section `dataset` cannot be used.
        DataError: it cannot be loaded, a split or column is missing or empty, or labels do not fit the model.
    """
    settings = config.dataset
    raw, files = read_splits(settings, task.columns_differ)
    if task.columns_differ:
        _refuse_stray_label(settings, raw)
    chosen = choose_splits(settings, list(raw), config.early_stopping_patience)
    warn_of_shared_files(chosen, files)

    def checked(name: str) -> Dataset:
        return task.check(raw[name], name, settings, model_config)

    def features(examples: Dataset) -> Dataset:
        plain, domains = without_domain(examples)
        found = task.features(plain, processor, config.max_length)
        return found if domains is None else with_domain(found, domains)

    domains = None
    if settings.domain is not None:
        trained = [name for name in (chosen.train, chosen.unlabelled) if name is not None]
        domains = Domains(settings.domain, {name: raw[name] for name in trained})

    def of_domains(examples: Dataset, name: str) -> Dataset:
        return examples if domains is None else domains.added(examples, raw[name])

    # Examples are carved before they become features: those of one example stay on one side.
    train, selection = carve(of_domains(checked(chosen.train), chosen.train), config.selection_size, config.seed)
    unlabelled = altered = None
    if chosen.unlabelled is not None:
        further = task.unlabelled(raw[chosen.unlabelled], chosen.unlabelled, settings, model_config)
        unlabelled = of_domains(further, chosen.unlabelled)
    if copies := config.distillation.augment:
        plain, numbers = without_domain(train)
        altered = altered_copies(task, plain, copies, config.distillation.augment_share, config.seed)
        altered = altered if numbers is None else with_domain(altered, numbers * copies)
    return Splits(
        train=features(train),
        selection=features(without_domain(selection)[0]),
        validation=None if chosen.validation is None else features(checked(chosen.validation)),
        report=features(checked(chosen.report)),
        report_name=chosen.report,
        unlabelled=None if unlabelled is None else features(unlabelled),
        altered=None if altered is None else features(altered),
    )


def _refuse_stray_label(settings: DatasetConfig, raw: Mapping[str, Dataset]) -> None:
    """Refuse a label that was named, and that no split has: where it may be missing, a slip would go unseen.

    Raises:
        DataError: names it.
    """
    usual = type(settings).model_fields["label"].default
    if settings.label != usual and not any(settings.label in split.column_names for split in raw.values()):
        there = ", ".join(dict.fromkeys(name for split in raw.values() for name in split.column_names))
        raise DataError(
            f"dataset.label: column {settings.label!r} is in no split; columns: {there}; correct it, or leave it out "
            "to compare students with the teacher"
        )
