"""A tokenizer that pads on the left, beside a model that counts places from there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minidisc_plugin.foundation.errors import ConfigError

if TYPE_CHECKING:
    from minidisc_plugin.contracts.run import Prepared

# Of the largest logit, or of 1: more than the rounding of any type, and less than what other places make.
_LEAST, _ROUNDINGS = 1e-3, 20


def check_padding(prepared: Prepared) -> None:
    """Refuse padding on the left that changes what the teacher says: metrics would depend on how batches are made.

    Raises:
        ConfigError: the shortest example has other logits beside the longest than alone.
    """
    import torch

    from minidisc_plugin.foundation.model_files.processor_saving import tokenizer_of
    from minidisc_plugin.run.data.collating import close_collator
    from minidisc_plugin.training.batches import example_lengths

    if not prepared.task.sequences or tokenizer_of(prepared.processor).padding_side != "left":
        return
    task, teacher, collate = prepared.task, prepared.teacher, close_collator(prepared)
    split = prepared.splits.report
    lengths = example_lengths(split)
    short, long = (split[lengths.index(limit(lengths))] for limit in (min, max))

    def logits(rows: list[Any]) -> Any:
        batch = {name: value.to(teacher.device) for name, value in dict(collate(rows)).items()}
        with torch.no_grad():
            found = task.logits(teacher(**task.inputs(batch, teacher), **task.options), batch)
        return found[0] if isinstance(found, tuple) else found

    alone, beside = logits([short])[:1], logits([short, long])[:1]
    if alone.shape != beside.shape:  # of tokens, which every task that has them pads on the right
        return
    off = float((alone - beside).abs().max())
    rounding = max(_LEAST, _ROUNDINGS * torch.finfo(alone.dtype).eps) * max(1.0, float(alone.abs().max()))
    if off > rounding:
        raise ConfigError(
            f"tokenizer: it pads on the left, and the teacher's answer to a short text is {off:.2g} off where a longer "
            'one is in its batch; set "padding_side": "right" in its tokenizer_config.json'
        )
