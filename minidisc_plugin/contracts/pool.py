"""What an epoch's examples are drawn from: labelled ones, and further ones whose labels are placeholders."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class Pool:
    """Examples of one form; each epoch draws as many as there are labelled ones.

    Attributes:
        labelled: What is trained on.
        further: Examples of the same columns whose labels are placeholders, where there are any.
    """

    labelled: Dataset
    further: Dataset | None = None

    @cached_property
    def examples(self) -> Dataset:
        """All of them, the labelled ones first."""
        from datasets import concatenate_datasets

        return self.labelled if self.further is None else concatenate_datasets([self.labelled, self.further])

    @property
    def drawn(self) -> int | None:
        """Examples of an epoch, where they are not all."""
        return None if self.further is None else len(self.labelled)
