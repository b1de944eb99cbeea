"""The tokenizer of a model, refused where it does not fit."""

from __future__ import annotations

import inspect
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.task import Task
from minidisc_plugin.foundation.errors import ConfigError, MinidiscError
from minidisc_plugin.foundation.model_files.places import is_local
from minidisc_plugin.foundation.printable import shown

if TYPE_CHECKING:
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)

_TRIED = "a word"


def load_tokenizer(name: str, model: PreTrainedModel, trust_remote_code: bool, task: Task | None = None) -> Any:
    """The tokenizer of a model.

    Raises:
        ConfigError: none there, a broken one, one that does not belong to the model, or that does not tell padding.
    """
    from transformers import AutoTokenizer

    from minidisc_plugin.foundation.model_files.explain import not_loaded
    from minidisc_plugin.foundation.model_files.processor_saving import remember_state
    from minidisc_plugin.foundation.model_files.quiet import quiet
    from minidisc_plugin.foundation.model_files.tokenizer_files import check_tokenizer_files

    where = f"tokenizer: {name!r}"
    options = task.tokenizer_options(model.config) if task else {}
    if local := is_local(name, where):
        check_tokenizer_files(Path(name), where, trust_remote_code)
    try:
        with quiet(bars=not local):
            tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=trust_remote_code, **options)
            remember_state(tokenizer)
            _check_names(tokenizer, model, where)
            count, tried = len(tokenizer), tokenizer(_TRIED)["input_ids"]
    except MinidiscError:
        raise
    except (Exception, SystemExit) as error:  # each kind of tokenizer fails in a way of its own
        raise not_loaded(where, error, local=local, otherwise=", or give another in tokenizer:") from error
    rows = model.get_input_embeddings().num_embeddings
    largest = max(count - 1, *(tried if tried and isinstance(tried[0], int) else [0]))
    if largest >= rows:
        raise ConfigError(
            f"{where} has {largest + 1} tokens but the model embeds {rows}; "
            "give the tokenizer that the model was trained with"
        )
    if 2 * count < rows:
        logger.warning("%s has %d tokens, and the model embeds %d: is it the model's own?", where, count, rows)
    padding = getattr(model.config, "pad_token_id", None)
    if tokenizer.pad_token_id is None and task and task.pads_with_end and tokenizer.eos_token is not None:
        logger.info("tokenizer: it has no padding token; padded with %s, which is masked", tokenizer.eos_token)
        tokenizer.pad_token = tokenizer.eos_token
        return tokenizer
    if tokenizer.pad_token_id is None:
        raise ConfigError(f"{where} has no padding token; set one and save it again")
    if padding is not None and padding != tokenizer.pad_token_id:
        raise ConfigError(
            f"{where} pads with id {tokenizer.pad_token_id} but the model with {padding}; "
            "give the tokenizer that the model was trained with"
        )
    if padding is None:  # classifiers read the last token that is no padding, and so must know it
        model.config.pad_token_id = tokenizer.pad_token_id
    return tokenizer


def _check_names(tokenizer: Any, model: PreTrainedModel, where: str) -> None:
    """Refuse a tokenizer that does not name what it gives, or that gives no mask to a model that reads one."""
    names = tokenizer.model_input_names
    listed = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    if not listed or "input_ids" not in names:
        raise ConfigError(
            f"{where}: model_input_names is {shown(names)}, not a list of names with input_ids among them; correct it "
            "in its tokenizer_config.json"
        )
    if "attention_mask" not in names and "attention_mask" in inspect.signature(model.forward).parameters:
        raise ConfigError(
            f"{where} gives no attention_mask, so padding would count as text; add it to model_input_names in its "
            "tokenizer_config.json"
        )
