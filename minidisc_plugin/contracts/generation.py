"""The section `generation` of a compression config."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from minidisc_plugin.contracts.values import Distinct, PathText, Settings


class GenerationConfig(Settings):
    """Texts that teacher, assistants and student write of the reported split, for the report alone."""

    metrics: Annotated[list[PathText], Distinct] = Field(
        default_factory=list,
        description="What compares them with the targets: `rouge`, `sacrebleu`, `wer`, `cer`; with `trust_remote_code` "
        "also a metric of texts from elsewhere, as for `metric`. Default: `wer` of `automatic-speech-recognition`; "
        "else none, and no texts are written.",
    )
    max_new_tokens: int | None = Field(
        None, ge=1, description="Tokens of a text at most. Default: `max_length`, or what the model has positions for."
    )
    num_beams: int = Field(1, ge=1, description="Texts that are followed at once: 1 takes the likeliest token.")

    @model_validator(mode="after")
    def _idle(self) -> GenerationConfig:
        given = [name for name in ("max_new_tokens", "num_beams") if getattr(self, name) not in (None, 1)]
        if given and not self.metrics:
            raise ValueError(
                f"generation.{given[0]}: does nothing without generation.metrics; list some, such as [rouge]"
            )
        return self
