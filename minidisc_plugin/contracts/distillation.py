"""The section `distillation` of a config: how a student follows its teacher."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from minidisc_plugin.contracts.values import FromList, Guide, Positive, Settings


class DistillationConfig(Settings):
    """The objective, keys of INC's `KnowledgeDistillationLossConfig`, and the objective's own under its name."""

    objective: str = Field(
        "minidisc",
        description="`minidisc` (hidden states and logits), `knowledge_distillation`, `ted` (learned filters between "
        "hidden states), `codir` (contrast of texts), `ad_kd` (attributions of tokens), `embeddings` (similarities of "
        "the texts of a batch), or a plug-in's. Its own settings, if it has any, are the section of its name: `ted: "
        "{epochs: 1}`.",
    )
    guide: Guide = Field(
        "assistant",
        description="What the student follows once there is an assistant: the assistant; the teacher, so that the "
        "student only starts from the assistant's slices; or `both`, hidden states of the teacher and the mean of both "
        "models' probabilities. Without an assistant it is the teacher.",
    )
    augment: int = Field(
        0,
        ge=0,
        le=100,
        description="Altered copies of each training text, made before training by `training.seed`: words are left "
        "out, change places with their neighbours, or are replaced by words of the training texts. Copies have no "
        "label, and are drawn from as `dataset.unlabelled_split` is.",
    )
    augment_share: float = Field(
        0.1, gt=0, le=1, description="Share of the words of a text that are altered in a copy; at least one is."
    )
    temperature: Positive = Field(1.0, description="Temperature of the logits on both sides.")
    loss_types: Annotated[tuple[str, str], FromList] | None = Field(
        None, description="Of `knowledge_distillation`: loss against labels (CE, MSE) and teacher (CE, KL, MSE)."
    )
    loss_weights: Annotated[tuple[float, float], FromList] | None = Field(
        None, description="Of `knowledge_distillation`: weights of the two losses; they sum to 1."
    )

    _own: Any = PrivateAttr(default_factory=dict)

    @property
    def own(self) -> Any:
        """What stands under the name of the objective; `Objective` validates it."""
        return self._own

    def with_own(self, own: dict[str, Any]) -> DistillationConfig:
        """The same section with other settings of the objective's own."""
        made = self.model_copy()
        made._own = own
        return made

    @model_validator(mode="wrap")
    @classmethod
    def _take_own(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(data, dict):
            return handler(data)
        name = data.get("objective")
        has_own = isinstance(name, str) and name in data and name not in cls.model_fields
        made = handler({key: value for key, value in data.items() if not (has_own and key == name)})
        if has_own:
            made._own = {} if data[name] is None else data[name]
        return made

    @model_serializer(mode="wrap")
    def _give_own(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {**handler(self), **({self.objective: self._own} if self._own else {})}

    @field_validator("loss_weights")
    @classmethod
    def _weights_sum_to_one(cls, weights: tuple[float, float] | None) -> tuple[float, float] | None:
        if weights is not None and (min(weights) < 0 or abs(sum(weights) - 1) > 1e-6):
            raise ValueError("the weights must be at least 0 and sum to 1")
        return weights
