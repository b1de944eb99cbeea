"""The section `pruning` of a compression config."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from minidisc_plugin.contracts.amounts import Bytes, Loss, Macs, Parameters
from minidisc_plugin.contracts.values import Positive, Settings, Sparsities, Sparsity

# What goes with a budget and is none.
BATCH_SIZE, CONFIDENCE = "batch_size", "confidence"
_BESIDE = (BATCH_SIZE, CONFIDENCE)
_USUAL_CONFIDENCE = 0.8


class PruningConfig(Settings):
    """How small the student is: one key, a sparsity as of INC's `WeightPruningConfig`, a budget, or how good it is."""

    target_sparsity: Sparsity | Sparsities | None = Field(
        None,
        description="Share of heads and neurons that the student loses: 0.9 keeps a tenth. A list, `[0.5, 0.9]`: "
        "several students from one schedule, each in a folder of its own.",
    )
    max_parameters: Parameters | None = Field(
        None, description="Instead: the largest student of at most so many parameters, embeddings included: `10M`."
    )
    max_bytes: Bytes | None = Field(
        None,
        description="Instead: the largest student whose weight files take at most so many bytes: `20MB`, `20MiB`.",
    )
    max_latency_ms: Positive | None = Field(
        None,
        description="Instead: the largest student whose pass over a batch takes at most so many milliseconds, measured "
        "on this machine before training, with examples of the reported split's median length.",
    )
    batch_size: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        None, description="Of `max_latency_ms`: examples of that batch. Default: 1."
    )
    max_macs: Macs | None = Field(
        None,
        description="Instead: the largest student of at most so many multiply-accumulates for one example of the "
        "reported split's median length: `200M`, `1.5G`.",
    )
    max_loss: Loss | None = Field(
        None,
        description="Instead: the smallest student that loses at most so much of the metric, as a share of its range: "
        "`0.01` or `1%` is a point of accuracy. Three or four students are made, and compared with the teacher on the "
        "validation split, or on the selection split where there is none.",
    )
    confidence: Annotated[float, Field(ge=0.5, lt=1)] | None = Field(
        None,
        description="Of `max_loss`: how sure the search has to be that its student loses no more. What it may err is "
        "shared by its comparisons: of four at 0.8, each student has to lose no more in 0.95 of the draws of a paired "
        "bootstrap. Default: 0.8.",
    )

    @property
    def asked(self) -> dict[str, Any]:
        """The budget, and what belongs to it, as written; empty where a sparsity is given."""
        return {name: value for name, value in self if value is not None and name != "target_sparsity"}

    @property
    def is_measured(self) -> bool:
        """Whether it is a budget that only the ranked network can tell the sparsity of."""
        return self.max_latency_ms is not None or self.max_macs is not None

    @property
    def sparsities(self) -> list[float]:
        """Of the students, the largest student first; of a budget none, until the teacher is known."""
        given = self.target_sparsity
        return sorted(given) if isinstance(given, list) else [] if given is None else [given]

    @model_validator(mode="after")
    def _one_goal(self) -> PruningConfig:
        given = [name for name, value in self if value is not None and name not in _BESIDE]
        if len(given) != 1:
            found = " and ".join(given) + " are given" if given else "nothing is given"
            keys = ", ".join(f"pruning.{name}" for name in PruningConfig.model_fields if name not in _BESIDE)
            raise ValueError(f"{found}; give one of {keys}")
        if self.max_latency_ms is not None:
            self.batch_size = self.batch_size or 1
        elif self.batch_size is not None:
            raise ValueError("batch_size does nothing without max_latency_ms; remove it")
        if self.max_loss is not None:
            self.confidence = self.confidence or _USUAL_CONFIDENCE
        elif self.confidence is not None:
            raise ValueError("confidence does nothing without max_loss; remove it")
        return self
