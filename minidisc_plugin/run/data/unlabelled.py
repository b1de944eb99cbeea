"""The split of further texts: found among the others, and read apart, for its files need no label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from datasets import DatasetDict

from minidisc_plugin.run.data.reading import read_dataset

if TYPE_CHECKING:
    from minidisc_plugin.contracts.dataset import DatasetConfig

_USUAL = "unlabelled"


def unlabelled_of(settings: DatasetConfig, names: Iterable[str]) -> str | None:
    """The name of the split; None where there is none.

    Args:
        settings: The section `dataset`.
        names: The dataset's splits.
    """
    others = (settings.train_split, settings.validation_split, settings.test_split)
    usual = _USUAL if _USUAL in names and _USUAL not in others else None
    return settings.unlabelled_split or usual


def read_splits(settings: DatasetConfig, apart: bool = False) -> tuple[DatasetDict, Mapping[str, Sequence[str]]]:
    """Load every split; see read_dataset. Files of the further texts may lack the column of the label.

    Args:
        settings: The section `dataset`.
        apart: Whether each split may have columns of its own.
    """
    given = settings.data_files
    if not isinstance(given, Mapping) or len(given) == 1:
        return read_dataset(settings)
    further = unlabelled_of(settings, given)
    alone = [name for name in given if apart or name == further]
    # A label column that is one of text is no column more that files must have.
    parts = [({name: given[name]}, settings.inputs[0] if name == further else settings.label) for name in alone]
    together = {name: files for name, files in given.items() if name not in alone}
    found, files = DatasetDict(), dict[str, Sequence[str]]()
    for chosen, label in [*([(together, settings.label)] if together else []), *parts]:
        splits, read = read_dataset(settings.model_copy(update={"data_files": chosen, "label": label}))
        found.update(splits)
        files |= read
    return found, files
