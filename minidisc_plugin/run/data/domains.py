"""The column `dataset.domain`: each text of what is trained on gets the number of its domain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.objective import DOMAIN
from minidisc_plugin.foundation.errors import ConfigError, DataError
from minidisc_plugin.foundation.printable import shown
from minidisc_plugin.tasks.columns import require_column

if TYPE_CHECKING:
    from datasets import Dataset

    from minidisc_plugin.contracts.config import CompressionConfig
    from minidisc_plugin.contracts.run import Splits


class Domains:
    """Domains by the values of a column, numbered in the order of their names.

    Args:
        column: Its name.
        splits: What is trained on, as read.

    Raises:
        DataError: it is missing, or does not name a domain for each text.
    """

    def __init__(self, column: str, splits: Mapping[str, Dataset]) -> None:
        self._column = column
        found: set[Any] = set()
        for where, split in splits.items():
            require_column(split, where, "domain", column)
            values = split[column]
            bad = next((row for row, value in enumerate(values) if not _is_name(value)), None)
            if bad is not None:
                raise DataError(
                    f"dataset.domain: row {bad} of column {column!r} of split {where!r} holds {shown(values[bad])}; "
                    "give each text the name or the number of its domain"
                )
            found.update(values)
        if len(found) < 2:
            raise DataError(
                f"dataset.domain: column {column!r} holds one value, {shown(next(iter(found)))}, and domains are "
                "weighed against each other; give texts of two or more, or set distillation.objective: minidisc"
            )
        ordered = sorted(found, key=lambda value: (isinstance(value, str), value))
        self._numbers = {value: number for number, value in enumerate(ordered)}

    def added(self, checked: Dataset, split: Dataset) -> Dataset:
        """Checked examples with the numbers of their domains.

        Args:
            checked: As `Task.check` gives them.
            split: As read.

        Raises:
            ConfigError: they are not the rows of the split.
        """
        return with_domain(checked, [self._numbers[value] for value in split[self._column]])


def _is_name(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, str) and bool(value.strip()))


def with_domain(examples: Dataset, numbers: list[int]) -> Dataset:
    """Examples with the column DOMAIN.

    Raises:
        ConfigError: there are more or fewer examples than numbers.
    """
    if len(examples) != len(numbers):
        raise ConfigError(
            "dataset.domain: the task makes other examples of texts than one of each; set distillation.objective: "
            "minidisc, and remove the key"
        )
    return examples.add_column(DOMAIN, numbers)


def without_domain(examples: Dataset) -> tuple[Dataset, list[int] | None]:
    """Examples as a task knows them, and the numbers of their domains where they have any."""
    if DOMAIN not in examples.column_names:
        return examples, None
    return examples.remove_columns(DOMAIN), list(examples[DOMAIN])


def check_domains(config: CompressionConfig, splits: Splits, batch_size: int) -> None:
    """Refuse batches that cannot have a share of every domain.

    Args:
        config: As read.
        splits: Tokenised.
        batch_size: Of all processes together.

    Raises:
        ConfigError: they are too small.
        DataError: no text of a domain is left to train on.
    """
    if config.dataset.domain is None:
        return
    numbers = set(splits.pool.examples[DOMAIN])
    count = max(numbers) + 1
    if len(numbers) < count:
        raise DataError(
            f"dataset.domain: all texts of one of the values of {config.dataset.domain!r} are in the selection split; "
            "give more texts of each domain"
        )
    if batch_size < count:
        raise ConfigError(
            f"training.per_device_train_batch_size: a batch of {batch_size} has no text of each of the {count} domains "
            f"in column {config.dataset.domain!r}; raise it"
        )
