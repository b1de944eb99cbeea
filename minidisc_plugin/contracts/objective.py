"""What a distillation objective is; a third party's is registered by `minidisc_register_objectives`."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from minidisc_plugin.contracts.validation import validate
from minidisc_plugin.contracts.values import Settings
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.printable import shown

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor, nn
    from transformers import PreTrainedModel

    from minidisc_plugin.contracts.distillation import DistillationConfig

EXAMPLE = "example"
"""Name in a batch of (batch,) the place of each example among all that are trained on, the same in every epoch."""
DOMAIN = "domain"
"""Name in a batch of (batch,) the number of each example's domain, from 0 in the order of their names."""
PROGRESS = "progress"
"""Name in a batch of () the share of the stage's optimizer steps that are done, in [0, 1), on the CPU."""


class Objective(ABC):
    """A loss of a student against a teacher; a third party's is registered by `minidisc_register_objectives`.

    Most are `__call__` alone. One that learns something of its own gives it in `make_network`, and may have it trained
    before the student is; one that asks the teacher for more than its outputs does so in `observe`.

    Args:
        settings: The section `distillation` of the compression config.
        regression: Whether the labels, and so the logits, are real numbers and not classes.

    Attributes:
        name: What `distillation.objective` may hold.
        own_settings: The keys of `distillation.<name>`; None where it has none.
        tasks: Values of the key `task` that it can be used with; None: any.
        needs_hidden_states: Whether it is given those of student and teacher.
        needs_second_derivatives: Whether its loss is made of derivatives, so that models have to be differentiated
            twice: attention is computed by plain matrix products then.
        needs_attentions: Whether their outputs hold `attentions`: the weights of each layer, (batch, heads, tokens,
            tokens). Attention is computed step by step then, and no cache keeps the teacher's outputs.
        observes: Names of what `observe` gives; it is not asked where there are none.
        reads_labels: Whether the loss depends on `labels`; one that does not can be trained by on unlabelled texts,
            whose `labels` are placeholders.
        reads_examples: Whether batches hold EXAMPLE.
        reads_domains: Whether batches hold DOMAIN, and are made of equal shares of all domains; the config names their
            column in `dataset.domain`, and examples have the column DOMAIN.
        reads_progress: Whether batches hold PROGRESS.
        own: Its settings.
        network: What `make_network` made for the stage that trains.

    Raises:
        ConfigError: a setting that this objective does not know.
    """

    name: ClassVar[str]
    own_settings: ClassVar[type[Settings] | None] = None
    tasks: ClassVar[frozenset[str] | None] = None
    needs_hidden_states: ClassVar[bool] = False
    needs_second_derivatives: ClassVar[bool] = False
    observes: ClassVar[tuple[str, ...]] = ()
    needs_attentions: ClassVar[bool] = False
    reads_examples: ClassVar[bool] = False
    reads_domains: ClassVar[bool] = False
    reads_progress: ClassVar[bool] = False
    reads_labels: bool = True
    own: Any = None
    network: Any = None

    def __init__(self, settings: DistillationConfig, *, regression: bool) -> None:
        self.settings = settings
        self.regression = regression
        self.own = self.read_own(settings)

    @classmethod
    def read_own(cls, settings: DistillationConfig) -> Any:
        """What stands under the objective's name, checked; None where it has no settings of its own.

        Raises:
            ConfigError: it cannot be used.
        """
        name = settings.objective
        if not isinstance(settings.own, Mapping):
            raise ConfigError(f"distillation.{name}: {shown(settings.own)} cannot be used: give keys and values")
        if cls.own_settings is None and settings.own:
            raise ConfigError(f"distillation.{name}: the objective {name!r} has no settings of its own; remove it")
        return cls.own_settings and validate(cls.own_settings, settings.own, prefix=f"distillation.{name}.")

    @property
    def epochs_before(self) -> float:
        """For how many epochs `network` is trained by `loss_before` before each stage; both models stay as they are."""
        return 0.0

    def compared_states(self, count: int) -> list[int]:
        """Which of `count` hidden states (the first is the embeddings) it compares; a cache keeps these."""
        return list(range(count))

    def make_network(self, student: PreTrainedModel, teacher: PreTrainedModel, examples: Dataset) -> nn.Module | None:
        """What it learns beside the student's weights; None where that is nothing.

        It is made anew for each stage, by the run's seed. Optimizer and checkpoints hold it, processes exchange its
        gradients, and it is gone when the stage is over. Parameters that ask for no gradient learn before it only.

        Args:
            student: The model that the stage trains; of a nested network at its largest scale.
            teacher: The frozen model that it follows.
            examples: All that may be trained on, tokenised, in the order of EXAMPLE.
        """
        return None

    def observe(self, teacher: PreTrainedModel, output: Any, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What it wants to know of a frozen teacher beside its outputs; a cache keeps it, and need not ask again.

        Args:
            teacher: The model.
            output: Of the model for this batch, with hidden states and derivatives.
            batch: What the model was given, and `labels`.

        Returns:
            For each name in `observes` a tensor (batch, tokens, ...) or (batch, ...) without derivatives; the batch of
            `__call__` holds it.
        """
        return {}

    def loss_before(self, student: Any, teacher: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The scalar loss by which `network` is trained before a stage; see `__call__`."""
        raise NotImplementedError(f"{type(self).__name__} has epochs_before, and no loss_before")

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

    def with_network(self, network: nn.Module) -> Self:
        """The same objective with the network of one stage."""
        other = copy.copy(self)
        other.network = network
        return other

    def learns_beside(self) -> bool:
        """Whether a pass over a model is not all that a step is made of, so that passes cannot be recorded."""
        return self.needs_our_loop()

    @classmethod
    def needs_our_loop(cls) -> bool:
        """Whether it takes more than a loss of outputs and labels, which is all that a host's own training offers."""
        learns = cls.make_network is not Objective.make_network
        reads = cls.needs_attentions or cls.reads_examples or cls.reads_domains or cls.reads_progress
        return learns or reads or cls.needs_second_derivatives or bool(cls.observes)
