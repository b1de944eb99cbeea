"""Early stopping whose patience outlives a stop of the process."""

from __future__ import annotations

from typing import Any

from transformers import EarlyStoppingCallback


class EarlyStopping(EarlyStoppingCallback):  # type: ignore[misc]
    """As transformers', which Trainer begins anew at each start, and `INCTrainer` cannot do otherwise.

    Args:
        patience: Evaluations without improvement before training stops.
    """

    def __init__(self, patience: int) -> None:
        super().__init__(early_stopping_patience=patience)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Count on from what the checkpoint says."""
        super().on_train_begin(args, state, control, **kwargs)
        noted = state.stateful_callbacks.get(type(self).__name__, self.state())
        self.early_stopping_patience_counter = noted["attributes"]["early_stopping_patience_counter"]

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {**super().state(), "args": {"patience": self.early_stopping_patience}}
