"""What stands in place of a sparsity, and the sparsity that it became: in `run.json`, and in `results.json`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from minidisc_plugin.contracts.amounts import bytes_in, macs_in, parameters_in, share_in
from minidisc_plugin.contracts.pruning import BATCH_SIZE, CONFIDENCE, PruningConfig

_AMOUNTS: Mapping[str, Callable[[Any], float]] = {
    "max_parameters": parameters_in,
    "max_bytes": bytes_in,
    "max_macs": macs_in,
    "max_latency_ms": float,
    "max_loss": share_in,
}


class Tried(BaseModel):
    """A student that was made to see whether it is good enough."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scale: Annotated[float, Field(gt=0, lt=1)]
    metric: Annotated[float, Field(allow_inf_nan=False)] | None = Field(description="as it is reported")
    loss: Annotated[float, Field(allow_inf_nan=False)] | None = Field(
        description="share of its range that the metric lost against the teacher, below 0 where it gained"
    )
    error: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = Field(
        default=None,
        description="standard error of that loss, by the paired bootstrap; None where nothing can be drawn",
    )
    sure: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="share of the draws in which it lost no more than it may; None where none can be made"
    )
    good_enough: bool
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(description="wall time of its own stages")


class Search(BaseModel):
    """How the smallest student was found that is good enough."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    split: str = Field(description="what students and teacher were compared on")
    examples: Annotated[int, Field(ge=0)] = Field(description="size of that split")
    teacher: Annotated[float, Field(allow_inf_nan=False)] | None = Field(description="its metric there, as reported")
    range: tuple[float, float] = Field(description="smallest and largest value of the metric")
    needed: Annotated[float, Field(ge=0.5, le=1)] | None = Field(
        default=None,
        description="share of the draws in which each had to lose no more, for the whole search to be as sure as "
        "was asked; None of older runs, whose comparisons were as sure each",
    )
    tried: tuple[Tried, ...] = Field(description="in the order in which they were made")

    @property
    def kept(self) -> bool:
        """Whether one is good enough."""
        return any(one.good_enough for one in self.tried)


class Budget(BaseModel):
    """What was asked of a student's size or speed, and what it became."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    asked: dict[str, int | float | str] = Field(description="keys of the section `pruning`, as they were given")
    target_sparsity: Annotated[float, Field(gt=0, lt=1)] = Field(
        description="of the largest student within it; of `max_loss`, of the smallest, or of the best where none is"
    )
    cost: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        default=None, description="what that student took before it was trained, in the budget's unit, where measured"
    )
    search: Search | None = Field(default=None, description="of `max_loss`")

    @field_validator("asked")
    @classmethod
    def _a_budget(cls, asked: dict[str, Any]) -> dict[str, Any]:
        if not PruningConfig.model_validate(asked).asked:
            raise ValueError("it is no budget")
        return asked

    @property
    def key(self) -> str:
        """Which budget it is, such as `max_bytes`."""
        return next(name for name in self.asked if name not in (BATCH_SIZE, CONFIDENCE))

    @property
    def amount(self) -> float:
        """How much: parameters, bytes, multiply-accumulates, milliseconds, or a share of the metric's range."""
        return float(_AMOUNTS[self.key](self.asked[self.key]))

    @property
    def batch_size(self) -> int:
        """Examples of the batch that it is about; 1 where it is about none."""
        return int(self.asked.get(BATCH_SIZE, 1))

    @property
    def written(self) -> str:
        """The amount as it was given, such as `20MB`."""
        given = self.asked[self.key]
        return f"{given:g}" if isinstance(given, float) else str(given)
