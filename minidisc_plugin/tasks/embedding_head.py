"""A bare encoder that gives an embedding a text where other models give logits, and a loss against given ones."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from minidisc_plugin.tasks.pooling import Pooling

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

_HOOKS = ("_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_forward_hooks", "_forward_hooks_with_kwargs")


class EmbeddingHead:
    """Hooks of a model: `labels`, which it does not take, are kept from it, and its output is pooled.

    They go with every copy of the model, and are no part of what is saved.

    Args:
        pooling: How embeddings are made.
    """

    def __init__(self, pooling: Pooling) -> None:
        self.pooling = pooling
        self._labels: Tensor | None = None

    def take(self, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Before the model computes: keep the labels."""
        self._labels = kwargs.get("labels")
        return args, {name: value for name, value in kwargs.items() if name != "labels"}

    def give(self, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        """The output with embeddings (batch, width) as logits, and the mean of 1 - cosine as loss, given labels."""
        from torch.nn import functional
        from transformers.modeling_outputs import SequenceClassifierOutput

        embeddings = self.pooling(output["last_hidden_state"], kwargs.get("attention_mask"))
        labels, self._labels = self._labels, None
        loss = None
        if labels is not None:
            loss = 1 - functional.cosine_similarity(embeddings, labels.to(embeddings), dim=-1).mean()
        return SequenceClassifierOutput(
            loss=loss,
            logits=embeddings,
            hidden_states=output.get("hidden_states"),
            attentions=output.get("attentions"),
        )


def add_head(model: PreTrainedModel, pooling: Pooling) -> None:
    """Have a model give embeddings, in place; what it computes beside its hidden states is trained no more."""
    head = EmbeddingHead(pooling)
    model.register_forward_pre_hook(head.take, with_kwargs=True)
    model.register_forward_hook(head.give, with_kwargs=True)
    pooler: Any = getattr(model, "pooler", None)
    for parameter in () if pooler is None else pooler.parameters():
        parameter.requires_grad_(False)


def drop_head(model: Any) -> None:
    """Take the hooks away from a model, but not from those that it shares its modules with."""
    hooks = [*model._forward_pre_hooks.items(), *model._forward_hooks.items()]
    own = {key for key, hook in hooks if _is_of_head(hook)}
    for name in _HOOKS:
        setattr(model, name, OrderedDict(item for item in getattr(model, name).items() if item[0] not in own))


def _is_of_head(hook: Any) -> bool:
    return isinstance(getattr(hook, "__self__", None), EmbeddingHead)
