"""What a distillation objective is; a third party's is registered by `minidisc_register_objectives`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from torch import Tensor

    from minidisc_plugin.contracts.config import DistillationConfig


class Objective(ABC):
    """A loss of a student against a teacher; a third party's is registered by `minidisc_register_objectives`.

    Args:
        settings: The section `distillation` of the compression config.
        regression: Whether the labels, and so the logits, are real numbers and not classes.

    Attributes:
        name: What `distillation.objective` may hold.
        needs_hidden_states: Whether it is given those of student and teacher.
        reads_labels: Whether the loss depends on `labels`; one that does not can be trained by on unlabelled texts,
            whose `labels` are placeholders.

    Raises:
        ConfigError: a setting that this objective does not know.
    """

    name: ClassVar[str]
    needs_hidden_states: ClassVar[bool] = False
    reads_labels: bool = True

    def __init__(self, settings: DistillationConfig, *, regression: bool) -> None:
        self.settings = settings
        self.regression = regression

    def compared_states(self, count: int) -> list[int]:
        """Which of `count` hidden states (the first is the embeddings) it compares; a cache keeps these."""
        return list(range(count))

    @abstractmethod
    def __call__(self, student: Any, teacher: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The scalar loss of a batch.

        Args:
            student: The student's output: `logits` (terms, classes), a row for each example, labelled token, or
                start or end of an answer, and, where needed, `hidden_states` (of an encoder-decoder model
                `encoder_hidden_states` and `decoder_hidden_states`).
            teacher: The teacher's, without gradient.
            batch: What both were given, with `attention_mask` (batch, tokens) and `labels` (terms,) where there are
                any; `decoder_attention_mask` for states of a decoder; `logits_mask` (terms, classes) where some
                logits stand for nothing.
        """
