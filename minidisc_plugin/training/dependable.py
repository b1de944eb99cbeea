"""What every training stage adds to its Trainer: a repeatable order of batches, a stop at a loss that is not finite."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers.trainer_pt_utils import LengthGroupedSampler

from minidisc_plugin.errors import NonFiniteLossError


class RepeatableLengthGroups(LengthGroupedSampler):  # type: ignore[misc]
    """Batches of similar length in an order that depends on seed and epoch alone, so a resumed run repeats it.

    Transformers' own draws from the process's generator, whose state at the start of an epoch no checkpoint holds.
    """

    def __init__(self, batch_size: int, lengths: list[int], seed: int) -> None:
        super().__init__(batch_size, lengths=lengths, generator=torch.Generator())
        self.seed = seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Start the order of an epoch; the data loader calls it."""
        self.generator.manual_seed(self.seed * 1_000_003 + epoch)


class DependableTraining:
    """Mixed into a `transformers.Trainer`.

    Attributes:
        label: What is trained, for messages: "student", or a scale.

    Raises:
        NonFiniteLossError: while training, when the loss is NaN or infinite; before the weights are touched.
    """

    label = "student"
    args: Any
    state: Any

    def training_step(self, model: nn.Module, inputs: Any, *args: Any, **kwargs: Any) -> Tensor:
        """One step; stops the run when the loss is not finite."""
        loss: Tensor = super().training_step(model, inputs, *args, **kwargs)  # type: ignore[misc]
        if not torch.isfinite(loss):
            raise NonFiniteLossError(
                f"step {self.state.global_step + 1}: the loss of {self.label} is {loss.item()}; "
                f"the last good checkpoint stays in {self.args.output_dir}; "
                "lower training.learning_rate and start again"
            )
        return loss

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Any:
        sampler = super()._get_train_sampler(*args, **kwargs)  # type: ignore[misc]
        if type(sampler) is not LengthGroupedSampler:
            return sampler
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        return RepeatableLengthGroups(sampler.batch_size, sampler.lengths, seed)
