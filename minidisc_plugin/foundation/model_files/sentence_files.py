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

_SETTINGS = ("sentence_bert_config.json", "config_sentence_transformers.json")
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
    """

    texts: Mapping[str, str]
    pooling: tuple[str, ...] = ("mean",)
    normalize: bool = False


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
    modules = read_json_list(path, where)
    texts = {MODULES: _text(path)}
    pooling, normalize = SentenceFiles.pooling, False
    for place, module in enumerate(modules):
        name, folder = _name_and_folder(module, where)
        if (name == "Transformer") != (place == 0) or (place == 0 and folder):
            raise ConfigError(
                f"{where}: {MODULES} does not begin with the one transformer, in the folder itself; save the model "
                "again with SentenceTransformer.save_pretrained"
            )
        if name == "Pooling":
            file = f"{folder}/config.json" if folder else "config.json"
            found = _file(model, file)
            if found is None:
                raise ConfigError(f"{where}: {MODULES} names {file}, which is not there; give the whole model")
            pooling = _modes(read_json(found, where), f"{where}: {file}")
            texts[file] = _text(found)
        normalize = normalize or name == "Normalize"
    for file in _SETTINGS:
        found = _file(model, file)
        if found is not None:
            texts[file] = _text(found)
    return SentenceFiles(texts, pooling, normalize)


def _name_and_folder(module: Any, where: str) -> tuple[str, str]:
    """The class of a module, without its package, and its folder."""
    kind = module.get("type") if isinstance(module, Mapping) else None
    name = str(kind).rpartition(".")[2]
    if not str(kind).startswith("sentence_transformers.") or name not in _KNOWN:
        raise ConfigError(
            f"{where}: {MODULES} names a module {kind!r}, and a student's embeddings are made by {', '.join(_KNOWN)} "
            "of sentence_transformers alone; give a model without it"
        )
    folder = str(module.get("path") or "")
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
