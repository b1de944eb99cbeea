"""What sentence-transformers keeps beside a model: how one embedding is made of its hidden states.

Read as data: no module that the files name is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.model_files.broken_file import read_json, read_json_list

MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
"""Ways of pooling, in the order in which several are put after one another."""

MODULES = "modules.json"
"""The file that says that there are any."""

_READING, _PROMPTS = "sentence_bert_config.json", "config_sentence_transformers.json"
# Switches of releases before 6.
_OLDER = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_KNOWN = ("Transformer", "Pooling", "Normalize")


@dataclass(frozen=True)
class SentenceFiles:
    """Of one model; of one that has none, what sentence-transformers does with such a model.

    Attributes:
        texts: Content of each file, by its path in the model's folder.
        pooling: Some of `MODES`.
        normalize: Whether embeddings are brought to length 1.
        prompt: What every text begins with, unless its user says otherwise.
        lower_case: Whether texts are read in small letters.
        max_tokens: Where texts are cut; None where the tokenizer says.
    """

    texts: Mapping[str, str]
    pooling: tuple[str, ...] = ("mean",)
    normalize: bool = False
    prompt: str = ""
    lower_case: bool = False
    max_tokens: int | None = None


def read_sentence_files(model: str, where: str) -> SentenceFiles:
    """The files of a model, and what they say.

    Args:
        model: A folder or a Hub name.
        where: What a message begins with.

    Raises:
        ConfigError: a file is broken, or asks for more than pooling and a length of 1.
    """
    path = _file(model, MODULES)
    if path is None:
        return SentenceFiles({})
    named = [_name_and_folder(module, where) for module in read_json_list(path, where)]
    texts = {MODULES: _text(path)}
    if not named or named[0] != ("Transformer", "") or [name for name, _ in named].count("Transformer") != 1:
        raise ConfigError(
            f"{where}: {MODULES} does not begin with the one transformer, in the folder itself; save the model again "
            "with SentenceTransformer.save_pretrained"
        )
    places = [folder for name, folder in named if name == "Pooling"]
    if len(places) != 1:
        raise ConfigError(
            f"{where}: {MODULES} names {len(places)} modules Pooling, and one makes an embedding of a text's tokens; "
            "save the model again with SentenceTransformer.save_pretrained"
        )
    file = f"{places[0]}/config.json" if places[0] else "config.json"
    settings = _settings(model, file, where, texts)
    if not settings:
        raise ConfigError(f"{where}: {MODULES} names {file}, which is not there; give the whole model")
    reading, prompts = (_settings(model, name, where, texts) for name in (_READING, _PROMPTS))
    prompt = _prompt(prompts, where)
    if prompt and settings.get("include_prompt") is False:
        raise ConfigError(
            f"{where}: {file} leaves the prompt of {_PROMPTS} out of embeddings, which is not done here; remove "
            "default_prompt_name there, and begin the texts with it or not"
        )
    most = reading.get("max_seq_length")
    return SentenceFiles(
        texts,
        _modes(settings, f"{where}: {file}"),
        any(name == "Normalize" for name, _ in named),
        prompt,
        reading.get("do_lower_case") is True,
        most if isinstance(most, int) and most > 0 else None,
    )


def _settings(model: str, name: str, where: str, texts: dict[str, str]) -> dict[str, Any]:
    """What a file holds, whose content is added to `texts`; nothing where there is none."""
    path = _file(model, name)
    if path is None:
        return {}
    found = read_json(path, where)
    texts[name] = _text(path)
    return found


def _prompt(settings: Mapping[str, Any], where: str) -> str:
    name, known = settings.get("default_prompt_name"), settings.get("prompts")
    if name is None:
        return ""
    if not isinstance(known, Mapping) or not isinstance(known.get(name), str):
        raise ConfigError(
            f"{where}: {_PROMPTS} says default_prompt_name: {name!r}, which is none of its prompts; correct it"
        )
    return str(known[name])


def _name_and_folder(module: Any, where: str) -> tuple[str, str]:
    """The class of a module, without its package, and its folder."""
    kind = module.get("type") if isinstance(module, Mapping) else None
    name = str(kind).rpartition(".")[2]
    if not str(kind).startswith("sentence_transformers.") or name not in _KNOWN:
        raise ConfigError(
            f"{where}: {MODULES} names a module {kind!r}, and a student's embeddings are made by {', '.join(_KNOWN)} "
            "of sentence_transformers alone; give a model without it"
        )
    folder = module.get("path")
    if not isinstance(folder, str):
        raise ConfigError(f"{where}: {MODULES} gives {name} no path; save the model again with sentence-transformers")
    if Path(folder).is_absolute() or ".." in Path(folder).parts:
        raise ConfigError(f"{where}: {MODULES} names the folder {folder!r}, which is not in the model's; correct it")
    return name, folder


def _modes(settings: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """The modes that a Pooling asks for, by its present key or by the switches of older releases."""
    given = settings.get("pooling_mode")
    if given is None:
        switched = {_OLDER[key] for key, value in settings.items() if key in _OLDER and value}
        given = [mode for mode in MODES if mode in switched] or ["mean"]
    modes = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, list) else ()
    if not modes or not all(mode in MODES for mode in modes):
        raise ConfigError(f"{where}: pooling_mode {given!r} is none of {', '.join(MODES)}; correct it")
    return modes


def _file(model: str, name: str) -> Path | None:
    """A file of a folder, or of a model on the Hub; None where there is none."""
    if Path(model).is_dir():
        path = Path(model, name)
        return path if path.is_file() else None
    from transformers.utils.hub import cached_file

    found = cached_file(
        model, name, _raise_exceptions_for_missing_entries=False, _raise_exceptions_for_connection_errors=False
    )
    return None if found is None else Path(found)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
