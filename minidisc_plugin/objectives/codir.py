"""`distillation.objective: codir`, contrastive distillation of intermediate states (Sun et al. 2020, 2009.14167)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from minidisc_plugin.contracts.objective import EXAMPLE, Objective
from minidisc_plugin.contracts.values import Positive, Settings
from minidisc_plugin.foundation.errors import ConfigError, DataError
from minidisc_plugin.foundation.processes import gathered, mean_over_processes
from minidisc_plugin.objectives.own import refuse_shared, refuse_two_stacks
from minidisc_plugin.objectives.terms import compared_layers, divergence, label_loss, mean_of_terms, mean_of_tokens

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel

    from minidisc_plugin.contracts.distillation import DistillationConfig


# Multiples of it lie evenly in [0, 1) when whole numbers are left out.
_GOLDEN = 0.6180339887498949


class CodirSettings(Settings):
    """`distillation.codir`."""

    teacher_weight: float = Field(
        0.5, ge=0, le=1, description="Weight of the divergence from the teacher against that of the labels (`beta`)."
    )
    temperature: Positive = Field(2.0, description="Temperature of the logits on both sides.")
    contrast_weight: float = Field(0.1, ge=0, description="Weight of the contrast.")
    width: int = Field(128, ge=1, description="Width of the space in which texts are compared.")
    negatives: int = Field(100, ge=1, description="Texts with another label that each text is compared with.")
    sharpness: Positive = Field(0.07, description="Temperature of the contrast.")
    momentum: float = Field(0.5, ge=0, lt=1, description="What of a text's place in a memory bank stays at each look.")


class Codir(Objective):
    """(1 - b) CE + b * T^2 * KL + w * contrast of texts, as both models see them in their layers.

    A text's picture is the mean of each compared layer over its real tokens, all layers side by side, mapped to `width`
    numbers of norm 1 by a layer that learns, one for each model. It is to be near to the other model's picture of it,
    and far from those of `negatives` texts of other labels; pictures of all texts are kept in two memory banks.
    """

    name = "codir"
    own_settings = CodirSettings
    tasks = frozenset({"text-classification"})
    needs_hidden_states = True
    reads_examples = True
    own: CodirSettings

    def __init__(self, settings: DistillationConfig, *, regression: bool) -> None:
        super().__init__(settings, regression=regression)
        refuse_shared(settings)
        if regression:
            raise ConfigError(
                "distillation.objective: 'codir' contrasts texts of different classes, and a regression has none; set "
                "distillation.objective: minidisc"
            )

    def compared_states(self, count: int) -> list[int]:
        """See Objective."""
        return compared_layers(count - 1)[1:]

    def make_network(self, student: PreTrainedModel, teacher: PreTrainedModel, examples: Dataset) -> nn.Module | None:
        """See Objective.

        Raises:
            ConfigError: the model or its labels have another form.
            DataError: all examples are of one class.
        """
        if not self.own.contrast_weight:
            return None
        config = teacher.config
        refuse_two_stacks(self.name, "compares", teacher)
        labels = torch.as_tensor(examples["labels"])
        if labels.dim() != 1:
            raise ConfigError(
                "distillation.objective: 'codir' contrasts texts of different classes, and these have several each; "
                "set distillation.objective: minidisc"
            )
        if bool((labels == labels[0]).all()):
            raise DataError("distillation.objective: 'codir' needs texts of two classes, and all of train are of one")
        layers = len(self.compared_states(config.num_hidden_layers + 1))
        return _Network(self.own, layers * config.hidden_size, labels)

    def __call__(self, student: Any, teacher: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """See Objective."""
        own, labels = self.own, batch["labels"]
        loss = (1 - own.teacher_weight) * label_loss(student.logits, labels, regression=False)
        found = divergence(student.logits, teacher.logits, own.temperature)
        loss = loss + own.teacher_weight * own.temperature**2 * found
        if own.contrast_weight:
            pictures = [self._picture(output, batch) for output in (student, teacher)]
            loss = loss + own.contrast_weight * self.network(*pictures, batch[EXAMPLE])
        return loss

    def _picture(self, output: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """(batch, layers * hidden): means of the compared layers over the real tokens."""
        states, mask = output.hidden_states, batch.get("attention_mask")
        layers = self.compared_states(len(states))
        return torch.cat([mean_of_tokens(states[layer], mask) for layer in layers], dim=-1)


class _Network(nn.Module):
    """What maps pictures of both models, and the banks in which they are kept."""

    labels: Tensor
    by_label: Tensor
    student_bank: Tensor
    teacher_bank: Tensor
    scales: Tensor
    looks: Tensor

    def __init__(self, own: CodirSettings, size: int, labels: Tensor) -> None:
        super().__init__()
        self._own = own
        self.student = nn.Linear(size, own.width)
        self.teacher = nn.Linear(size, own.width)
        self.register_buffer("labels", labels)
        self.register_buffer("by_label", torch.argsort(labels, stable=True))
        for side in ("student", "teacher"):
            bank = functional.normalize(torch.randn(len(labels), own.width), dim=-1)
            self.register_buffer(f"{side}_bank", bank)
        # Of the student's texts among the teacher's bank, and the other way round; 0 until the first batch sets them.
        self.register_buffer("scales", torch.zeros(2))
        self.register_buffer("looks", torch.zeros((), dtype=torch.long))

    def forward(self, student: Tensor, teacher: Tensor, examples: Tensor) -> Tensor:
        """The contrast of a batch; the banks move on.

        Args:
            student: (batch, size) pictures of texts.
            teacher: Likewise, of the same texts.
            examples: (batch,) places of the texts in the banks.
        """
        with torch.autocast(examples.device.type, enabled=False):  # half precision is too coarse for these powers
            mine = functional.normalize(self.student(student.float()), dim=-1)
            theirs = functional.normalize(self.teacher(teacher.float()), dim=-1)
            others = self._others(examples)
            losses = [
                self._contrast(0, mine, self.teacher_bank, examples, others),
                self._contrast(1, theirs, self.student_bank, examples, others),
            ]
        self._remember(mine.detach(), theirs.detach(), examples)
        return torch.stack(losses).sum() / 2

    def _others(self, examples: Tensor) -> Tensor:
        """(batch, negatives) places of texts with another label, drawn with repetition.

        A text's are told by the number of the look and its place, so that they are the same in any number of processes.
        """
        chance = torch.Generator().manual_seed(int(self.looks))
        shares = torch.rand(self._own.negatives, generator=chance, dtype=torch.float64).to(examples.device)
        shares = (shares + _GOLDEN * examples.unsqueeze(1)) % 1.0
        wanted = self.labels[examples].unsqueeze(1)
        first, count = (self.labels < wanted).sum(1, keepdim=True), (self.labels == wanted).sum(1, keepdim=True)
        place = (shares * (len(self.labels) - count)).long()
        return self.by_label[place + count * (place >= first)]

    def _contrast(self, side: int, seen: Tensor, bank: Tensor, examples: Tensor, others: Tensor) -> Tensor:
        """-[log h(own) + sum over others of log(1 - h)], the mean over all texts; h = P / (P + negatives / texts)."""
        # What is compared with is what it was, also when the banks have moved on before the backward pass.
        kept = bank[torch.cat([examples.unsqueeze(1), others], dim=1)].clone()
        powers = torch.exp(torch.einsum("bw,bnw->bn", seen, kept) / self._own.sharpness)
        if not self.scales[side]:
            self.scales[side] = mean_over_processes(powers.detach().mean()) * len(self.labels)
        likely = powers / self.scales[side].clone()
        noise = self._own.negatives / len(self.labels)
        own = torch.log(likely[:, 0] / (likely[:, 0] + noise))
        rest = torch.log(noise / (likely[:, 1:] + noise)).sum(1)
        return -mean_of_terms(own + rest)

    @torch.no_grad()
    def _remember(self, mine: Tensor, theirs: Tensor, examples: Tensor) -> None:
        """Move the banks' pictures of these texts, in all processes alike."""
        self.looks += 1
        for seen in gathered((examples.cpu(), mine.cpu(), theirs.cpu())):
            places, *pictures = (part.to(examples.device) for part in seen)
            for bank, now in zip((self.student_bank, self.teacher_bank), pictures, strict=True):
                moved = self._own.momentum * bank[places] + (1 - self._own.momentum) * now
                bank[places] = functional.normalize(moved, dim=-1)
