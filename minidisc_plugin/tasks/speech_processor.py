"""The processor of a model that writes what it hears: a feature extractor and a tokenizer, saved together."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.task import Task
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.model_files.explain import not_loaded
from minidisc_plugin.foundation.model_files.places import is_local
from minidisc_plugin.foundation.model_files.quiet import quiet
from minidisc_plugin.tasks.preprocessors import FEATURE_EXTRACTOR, load_preprocessor
from minidisc_plugin.tasks.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)


def load_speech_processor(name: str, model: PreTrainedModel, trust_remote_code: bool, task: Task) -> Any:
    """The processor of a model, with attributes `feature_extractor` and `tokenizer`.

    Args:
        name: Its folder, or a name on the Hub.
        model: It has to fit.
        trust_remote_code: Run code that comes with it.
        task: Of the run.

    Raises:
        ConfigError: a part is not there, is broken, or does not fit the model.
    """
    from transformers import AutoProcessor

    where = f"tokenizer: {name!r}"
    extractor = load_preprocessor(FEATURE_EXTRACTOR, name, trust_remote_code)
    tokenizer = load_tokenizer(name, model, trust_remote_code, task)
    local = is_local(name, where)
    try:
        with quiet(bars=not local):
            processor = AutoProcessor.from_pretrained(name, trust_remote_code=trust_remote_code)
    except (Exception, SystemExit) as error:  # each kind of processor fails in a way of its own
        raise not_loaded(where, error, local=local, otherwise=", or give another in tokenizer:") from error
    if not all(hasattr(processor, part) for part in ("feature_extractor", "tokenizer")):
        raise ConfigError(
            f"{where} has a {type(processor).__name__} and no processor of a feature extractor and a tokenizer; save "
            "the model's own there with save_pretrained"
        )
    processor.feature_extractor, processor.tokenizer = extractor, tokenizer
    _say_no_language(model, tokenizer)
    if getattr(model.generation_config, "alignment_heads", None):
        logger.warning("model: students give no times of words, for alignment_heads name heads that they lack")
    return processor


def _say_no_language(model: PreTrainedModel, tokenizer: Any) -> None:
    """Say so where a model of many languages is told none: it then guesses that of each sound."""
    generation = model.generation_config
    if not getattr(generation, "is_multilingual", False):
        return
    languages = set((getattr(generation, "lang_to_id", None) or {}).values())
    untold = []
    if not languages.intersection(tokenizer("")["input_ids"]):
        untold.append("targets begin without one (set it by processor.tokenizer.set_prefix_tokens)")
    if not getattr(generation, "language", None):
        untold.append("that of each sound is guessed as texts are written (generation_config.json)")
    if untold:
        logger.warning("tokenizer: the model knows many languages and is told none: %s", "; ".join(untold))
