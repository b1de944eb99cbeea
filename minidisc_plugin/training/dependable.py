"""What every training stage adds to its Trainer: a repeatable order of batches, a stop at a loss that is not finite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from minidisc_plugin.foundation.errors import NonFiniteLossError
from minidisc_plugin.training.batches import has_lengths, train_loader
from minidisc_plugin.training.checkpoints import names_as_held, refuse_unset
from minidisc_plugin.training.numbered_cpus import load_to_numbered_cpus
from minidisc_plugin.training.special_tokens import special_tokens_kept


class DependableTraining:
    """Mixed into a `transformers.Trainer`.

    Attributes:
        label: What is trained, for messages: "student", or a scale.
        tokens_per_batch: See GlobalBatches; None makes batches of `per_device_train_batch_size` examples.
        whole_steps: See GlobalBatches.
        drawn: See GlobalBatches.
        domains: See GlobalBatches.

    Raises:
        NonFiniteLossError: while training, when the loss is NaN or infinite; before the weights are touched.
    """

    label = "student"
    tokens_per_batch: int | None = None
    whole_steps = False
    drawn: int | None = None
    domains: Sequence[int] | None = None
    args: Any
    model: Any
    accelerator: Any
    state: Any
    train_dataset: Any

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """As Trainer; the model's special tokens stay its own."""
        with special_tokens_kept(self.model):
            return super().train(*args, **kwargs)  # type: ignore[misc]

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """As Trainer; what it goes on from is found under the names that it looks for."""
        with names_as_held(self.accelerator.unwrap_model(self.model)):
            super()._save(output_dir, state_dict)  # type: ignore[misc]

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        """In place of Trainer's warning: a model that was given a part of its weights would be another one.

        Raises:
            RunDirectoryError: a checkpoint does not hold all of them.
        """
        refuse_unset(self.model, load_result.missing_keys, f"a checkpoint in {self.args.output_dir}")

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """As Trainer; several processes on CPUs can do it, too."""
        load_to_numbered_cpus()
        super()._load_optimizer_and_scheduler(checkpoint)  # type: ignore[misc]

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """As Trainer, of which old releases let torch refuse the state of NumPy's generator."""
        array = np.zeros(1, np.uint32)
        reconstruct: Any = array.__reduce__()[0]
        with torch.serialization.safe_globals([reconstruct, np.ndarray, np.dtype, type(array.dtype)]):
            super()._load_rng_state(checkpoint)  # type: ignore[misc]

    def training_step(self, model: nn.Module, inputs: Any, *args: Any, **kwargs: Any) -> Tensor:
        """One step; stops the run when the loss is not finite."""
        loss: Tensor = super().training_step(model, inputs, *args, **kwargs)  # type: ignore[misc]
        self.check_losses({self.label: loss})
        return loss

    def check_losses(self, losses: Mapping[str, Tensor]) -> None:
        """Stop the run where one of the losses is not finite; waits for the device once.

        Args:
            losses: By what is trained.

        Raises:
            NonFiniteLossError: one is not.
        """
        if torch.isfinite(torch.stack(list(losses.values()))).all():
            return
        label, loss = next((label, loss.item()) for label, loss in losses.items() if not torch.isfinite(loss))
        raise NonFiniteLossError(
            f"step {self.state.global_step + 1}: the loss of {label} is {loss}; "
            f"the last good checkpoint stays in {self.args.output_dir}; "
            "lower training.learning_rate and start again"
        )

    def get_train_dataloader(self) -> Any:
        """Batches that depend on seed and epoch alone, the same in any number of processes."""
        if has_lengths(self.train_dataset):
            return train_loader(self, self.tokens_per_batch, self.whole_steps, self.drawn, self.domains)
        return super().get_train_dataloader()  # type: ignore[misc]
