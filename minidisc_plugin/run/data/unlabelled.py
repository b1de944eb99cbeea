"""The split of further texts: found among the others, and read apart, for its files need no label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from minidisc_plugin.run.data.reading import read_dataset

if TYPE_CHECKING:
    from datasets import DatasetDict

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


def read_splits(settings: DatasetConfig) -> tuple[DatasetDict, Mapping[str, Sequence[str]]]:
    """Load every split; see read_dataset. Files of the further texts may lack the column of the label."""
    given = settings.data_files
    name = unlabelled_of(settings, given) if isinstance(given, Mapping) else None
    if not isinstance(given, Mapping) or name not in given or len(given) == 1:
        return read_dataset(settings)
    labelled = {split: files for split, files in given.items() if split != name}
    found, files = read_dataset(settings.model_copy(update={"data_files": labelled}))
    # A label column that is one of text is no column more that files must have.
    bare = settings.model_copy(update={"data_files": {name: given[name]}, "label": settings.text[0]})
    further, further_files = read_dataset(bare)
    found.update(further)
    return found, {**files, **further_files}
