"""A task's teacher and its tokenizer, refused where they do not fit."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidisc_plugin.errors import ConfigError
from minidisc_plugin.model_files.folder import cached_folder, check_config, read_folder
from minidisc_plugin.model_files.sizes import check_sizes
from minidisc_plugin.model_files.types import trained_type, type_of
from minidisc_plugin.tasks.base import Task
from minidisc_plugin.tasks.registry import task_of_class

if TYPE_CHECKING:
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)

_TRIED = "a word"


def load_teacher(model: str, trust_remote_code: bool, task: Task | None = None) -> PreTrainedModel:
    """The fine-tuned model of a task; text classification when left out. Its weights are in the type of its files.

    Raises:
        ConfigError: nothing there that transformers can load, a broken model, or one that was fine-tuned for something
            else.
    """
    return read_teacher(model, trust_remote_code, task, as_saved=True)[0]


def read_teacher(
    model: str,
    trust_remote_code: bool,
    task: Task | None = None,
    *,
    weights: str | None = None,
    as_saved: bool = False,
) -> tuple[PreTrainedModel, str]:
    """As `load_teacher`, in the type that it is to be trained in, and the type of most weights in its files.

    Args:
        model: A folder or a Hub name.
        trust_remote_code: Run code that comes with it.
        task: What it is to do.
        weights: What `engine.weights` says.
        as_saved: Leave weights in the type of the files.
    """
    import torch

    from minidisc_plugin.model_files.loading import load_config, load_model
    from minidisc_plugin.nested.checkpoint import load_from
    from minidisc_plugin.tasks.text_classification import TextClassification

    task = task or TextClassification()
    where = f"model: {model!r}"
    folder = read_folder(Path(model), where, trust_remote_code) if _is_local(model, where) else None
    config = load_config(model, where, data=None if folder is None else folder.config, trusted=trust_remote_code)
    if folder is None:
        check_config(config.to_dict(), where, trust_remote_code)
        check_sizes(config.to_dict(), where)
        folder = cached_folder(model, where, trust_remote_code)
    architecture = (config.architectures or [""])[0]
    trained_for = task_of_class(architecture)
    if trained_for is not None and trained_for.name != task.name:
        raise ConfigError(
            f"task: {task.name!r} does not fit the model, a {architecture}; set task: {trained_for.name}, "
            "or give a teacher that was fine-tuned for it"
        )
    dtype = None
    if folder is not None:
        dtype = folder.saved_type if as_saved else trained_type(weights, folder.saved_type, folder.numbers)
    if folder is not None and getattr(config, "layer_sizes", None) is not None:
        found = load_from(folder, config, dtype=dtype)
    else:
        found = load_model(
            _class_of(config, task, where, trust_remote_code),
            model,
            config,
            where,
            folder=folder,
            task=task.name,
            dtype=dtype,
            trust_remote_code=trust_remote_code,
        )
    if folder is not None:
        return found, folder.saved_type
    saved = type_of(found)  # what the Hub holds is known once it is here
    if not as_saved:
        found = found.to(getattr(torch, trained_type(weights, saved, found.num_parameters())))
    return found, saved


def load_tokenizer(name: str, model: PreTrainedModel, trust_remote_code: bool, task: Task | None = None) -> Any:
    """The tokenizer of a model.

    Raises:
        ConfigError: none there, a broken one, or one that does not belong to the model.
    """
    from transformers import AutoTokenizer

    from minidisc_plugin.model_files.explain import not_loaded
    from minidisc_plugin.model_files.quiet import quiet
    from minidisc_plugin.model_files.tokenizer_files import check_tokenizer_files

    where = f"tokenizer: {name!r}"
    options = task.tokenizer_options(model.config) if task else {}
    if local := _is_local(name, where):
        check_tokenizer_files(Path(name), where, trust_remote_code)
    try:
        with quiet(bars=not local):
            tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=trust_remote_code, **options)
            count, tried = len(tokenizer), tokenizer(_TRIED)["input_ids"]
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
    padding = model.config.pad_token_id
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


def _is_local(name: str, where: str) -> bool:
    """Whether a name is that of something on this machine; else it is one of the Hub.

    Raises:
        ConfigError: it can be neither.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    from minidisc_plugin.model_files.explain import one_line

    try:
        if os.path.lexists(name):
            return True
        validate_repo_id(name)
    except (OSError, ValueError) as error:
        reason = "" if isinstance(error, HFValidationError) else f" ({one_line(error)})"
        raise ConfigError(f"{where} cannot be loaded: there is no such folder{reason}") from error
    if name.startswith((".", "~")):
        raise ConfigError(f"{where} cannot be loaded: there is no such folder")
    return False


def _class_of(config: Any, task: Task, where: str, trusted: bool) -> Any:
    """The class that a task loads models of a config with; the Auto class itself where the model's own code says.

    Raises:
        ConfigError: there is none, or the weights were saved from another.
    """
    import transformers

    from minidisc_plugin.nested.checkpoint import class_for

    auto = getattr(transformers, task.auto_class)
    if trusted and task.auto_class in (getattr(config, "auto_map", None) or {}):
        return auto
    architecture = config.architectures[0]
    class_for(architecture, config, where)
    if type(config) not in auto._model_mapping:
        raise ConfigError(
            f"{where} is of type {config.model_type!r}, which transformers has no class of for task {task.name}"
        )
    found = auto._model_mapping[type(config)]
    if isinstance(found, (list, tuple)):
        return next((kind for kind in found if kind.__name__ == architecture), found[0])
    return found
