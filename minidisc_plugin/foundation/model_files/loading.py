"""A model out of its files, whole: what transformers would leave to chance is refused in one line."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from minidisc_plugin.foundation.errors import ConfigError, MinidiscError
from minidisc_plugin.foundation.model_files.explain import not_loaded
from minidisc_plugin.foundation.model_files.fit import (
    check_fit,
    check_names,
    check_values,
    describe,
    drop_unsaved_pooler,
)
from minidisc_plugin.foundation.model_files.folder import ModelFolder, cached_folder
from minidisc_plugin.foundation.model_files.quiet import quiet

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

logger = logging.getLogger(__name__)


def load_config(name: str, where: str, *, data: Mapping[str, Any] | None = None, trusted: bool = False) -> Any:
    """The config of a model, which gives outputs by name and none that nobody asked for.

    Args:
        name: A folder or a Hub name.
        where: What a message begins with.
        data: What the folder's `config.json` holds, where it was read.
        trusted: Run code that comes with the model.

    Raises:
        ConfigError: transformers cannot make a config of it.
    """
    from transformers import CONFIG_MAPPING, AutoConfig

    kind = (data or {}).get("model_type")
    if data is not None and kind not in CONFIG_MAPPING and not trusted:
        if (data.get("auto_map") or {}).get("AutoConfig"):
            raise ConfigError(f"{where} needs code of its own; set trust_remote_code: true if you trust it")
        near = difflib.get_close_matches(str(kind), list(CONFIG_MAPPING), n=1)
        raise ConfigError(
            f"{where}: model_type {kind!r} in config.json is none that transformers knows"
            f"{f'; did you mean {near[0]!r}?' if near else '; install the release that it needs'}"
        )
    try:
        with quiet():
            config = AutoConfig.from_pretrained(name, trust_remote_code=trusted)
    except (Exception, SystemExit) as error:  # each class checks its values in a way of its own, or not at all
        raise not_loaded(where, error, local=data is not None) from error
    return as_expected(config)


def as_expected(config: PretrainedConfig) -> PretrainedConfig:
    """The config, in place, without what changes the form of outputs: everything here reads them by name."""
    config.return_dict = True
    config.output_hidden_states = False
    config._output_attentions = False
    if getattr(config, "torchscript", False):
        config.torchscript = False
    return config


def load_model(
    model_class: Any,
    name: str,
    config: Any,
    where: str,
    *,
    folder: ModelFolder | None = None,
    task: str | None = None,
    dtype: Any = None,
    **options: Any,
) -> PreTrainedModel:
    """The model of a class, whose every weight comes from its files, is finite and is used.

    Args:
        model_class: Of transformers or made of one, or an Auto class.
        name: A folder or a Hub name.
        config: Of the model.
        where: What a message begins with.
        folder: The folder, where it is one; its weights are then judged before any of them is loaded.
        task: What the model is to do, for messages.
        dtype: Type of the weights, as transformers takes it; that of the files when left out.
        **options: As `from_pretrained`.

    Raises:
        ConfigError: something is missing, left over, of another shape, or cannot be loaded.
    """
    import transformers

    described = (
        None
        if folder is None or not hasattr(model_class, "base_model_prefix")
        else (describe(model_class, config, where))
    )
    if folder is not None and described is not None:
        check_fit(folder, described)
    if dtype is None:
        dtype = folder.saved_type if folder is not None else "auto"
    key = "dtype" if hasattr(transformers.PretrainedConfig(), "dtype") else "torch_dtype"
    options = {key: dtype, **options}
    try:
        with quiet(bars=folder is None):
            model, info = model_class.from_pretrained(name, config=config, output_loading_info=True, **options)
    except MinidiscError:
        raise
    except (Exception, SystemExit) as error:  # each cause has a kind of its own, and some have several
        if folder is None:  # what was fetched may say more about itself
            cached_folder(name, where, bool(options.get("trust_remote_code")), required=True)
        raise not_loaded(where, error, local=folder is not None) from error
    if getattr(model, "_hf_peft_config_loaded", False):
        raise ConfigError(
            f"{where} is an adapter, not a whole model; merge it first with peft's merge_and_unload(), save the result "
            "with save_pretrained, and give that folder"
        )
    drop_unsaved_pooler(model, info)
    stray = check_names(where, model, info, None if folder is None else folder.weights, task)
    if stray:
        logger.warning("%s: %s and %d more of its weights are not used", where, stray[0], len(stray) - 1)
    check_values(where, model)
    return model
