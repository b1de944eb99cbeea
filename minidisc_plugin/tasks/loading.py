"""A task's teacher and its tokenizer, refused where they do not fit."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from minidisc_plugin.errors import ConfigError
from minidisc_plugin.tasks.base import Task
from minidisc_plugin.tasks.registry import task_of_class

if TYPE_CHECKING:
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)


def load_teacher(model: str, trust_remote_code: bool, task: Task | None = None) -> PreTrainedModel:
    """The fine-tuned model of a task; text classification when left out.

    Raises:
        ConfigError: nothing there that transformers can load, or a model that was fine-tuned for something else.
    """
    import transformers

    from minidisc_plugin.nested.checkpoint import load
    from minidisc_plugin.tasks.text_classification import TextClassification

    task = task or TextClassification()
    try:
        config = transformers.AutoConfig.from_pretrained(model, trust_remote_code=trust_remote_code)
        architecture = (getattr(config, "architectures", None) or [""])[0]
        trained_for = task_of_class(architecture)
        if trained_for is not None and trained_for.name != task.name:
            raise ConfigError(
                f"task: {task.name!r} does not fit the model, a {architecture}; set task: {trained_for.name}, "
                "or give a teacher that was fine-tuned for it"
            )
        if getattr(config, "layer_sizes", None) is not None:
            return load(model)
        found, info = getattr(transformers, task.auto_class).from_pretrained(
            model, trust_remote_code=trust_remote_code, output_loading_info=True
        )
    except (OSError, ValueError) as error:
        raise ConfigError(f"model: {model!r} cannot be loaded: {_reason(error)}") from error
    missing = sorted(set(info["missing_keys"]) & {name for name, _ in found.named_parameters()})
    if missing:
        raise ConfigError(
            f"model: {model!r} lacks {missing[0]}, so it was not fine-tuned for task {task.name}; "
            "fine-tune it first, or set the task that it was fine-tuned for"
        )
    return found


def load_tokenizer(name: str, model: PreTrainedModel, trust_remote_code: bool, task: Task | None = None) -> Any:
    """The tokenizer of a model.

    Raises:
        ConfigError: none there, or one that does not belong to the model.
    """
    from transformers import AutoTokenizer

    options = task.tokenizer_options(model.config) if task else {}
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=trust_remote_code, **options)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"tokenizer: {name!r} cannot be loaded: {_reason(error)}") from error
    rows = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > rows:
        raise ConfigError(
            f"tokenizer: {name!r} has {len(tokenizer)} tokens but the model embeds {rows}; "
            "give the tokenizer that the model was trained with"
        )
    padding = model.config.pad_token_id
    if tokenizer.pad_token_id is None and task and task.pads_with_end and tokenizer.eos_token is not None:
        logger.info("tokenizer: it has no padding token; padded with %s, which is masked", tokenizer.eos_token)
        tokenizer.pad_token = tokenizer.eos_token
        return tokenizer
    if tokenizer.pad_token_id is None:
        raise ConfigError(f"tokenizer: {name!r} has no padding token; set one and save it again")
    if padding is not None and padding != tokenizer.pad_token_id:
        raise ConfigError(
            f"tokenizer: {name!r} pads with id {tokenizer.pad_token_id} but the model with {padding}; "
            "give the tokenizer that the model was trained with"
        )
    return tokenizer


def _reason(error: Exception) -> str:
    """What went wrong, in a line; transformers goes on to list every model type that it knows."""
    return str(error).strip().splitlines()[0].partition(" Should have a `model_type` key")[0]
