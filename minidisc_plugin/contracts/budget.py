"""A budget in place of a sparsity, and the sparsity that it became: in `run.json`, and in `results.json`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from minidisc_plugin.contracts.amounts import bytes_in, macs_in, parameters_in
from minidisc_plugin.contracts.config import BATCH_SIZE, PruningConfig

_AMOUNTS: Mapping[str, Callable[[Any], float]] = {
    "max_parameters": parameters_in,
    "max_bytes": bytes_in,
    "max_macs": macs_in,
    "max_latency_ms": float,
}


class Budget(BaseModel):
    """What was asked of a student's size or speed, and what it became."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    asked: dict[str, int | float | str] = Field(description="keys of the section `pruning`, as they were given")
    target_sparsity: Annotated[float, Field(gt=0, lt=1)] = Field(description="of the largest student within it")
    cost: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        default=None, description="what that student took before it was trained, in the budget's unit, where measured"
    )

    @field_validator("asked")
    @classmethod
    def _a_budget(cls, asked: dict[str, Any]) -> dict[str, Any]:
        if not PruningConfig.model_validate(asked).asked:
            raise ValueError("it is no budget")
        return asked

    @property
    def key(self) -> str:
        """Which budget it is, such as `max_bytes`."""
        return next(name for name in self.asked if name != BATCH_SIZE)

    @property
    def amount(self) -> float:
        """How much: parameters, bytes, multiply-accumulates or milliseconds."""
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
