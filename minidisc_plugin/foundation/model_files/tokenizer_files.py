"""A local folder of a tokenizer, judged by its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.model_files.broken_file import read_json, refuse_broken

_SETTINGS = "tokenizer_config.json"
_WHOLE = "tokenizer.json"
_JSON = (_WHOLE, _SETTINGS, "special_tokens_map.json", "added_tokens.json", "vocab.json")
# What a vocabulary is kept in.
_VOCABULARIES = (
    _WHOLE,
    "vocab.txt",
    "vocab.json",
    "*.model",
    "*.spm",
    "*.tiktoken",
    "*.bpe",
    "*.codes",
    "tokenizer*.json",
)


def check_tokenizer_files(path: Path, where: str, trusted: bool) -> None:
    """Refuse a folder without a tokenizer, or with a broken one.

    Args:
        path: Of the folder.
        where: The folder, as a message begins.
        trusted: Run code that comes with it.

    Raises:
        ConfigError: names the file and the remedy.
    """
    if not path.is_dir():
        what = "a file; give the folder that holds it" if path.exists() else "not there; give a folder with a tokenizer"
        raise ConfigError(f"{where} is {what}")
    for name in _JSON:
        if (path / name).exists() or (path / name).is_symlink():
            read_json(path / name, where)
    found = [file for pattern in _VOCABULARIES for file in sorted(path.glob(pattern)) if file.name != _SETTINGS]
    for file in found:
        refuse_broken(file, where)
    if not found and not _needs_none(path, where, trusted):
        raise ConfigError(
            f"{where} has no tokenizer files ({_WHOLE}, vocab.txt, spiece.model ...); save the tokenizer there with "
            "save_pretrained, or set tokenizer: to a folder that has it"
        )


def _needs_none(path: Path, where: str, trusted: bool) -> bool:
    """Whether the tokenizer knows its vocabulary by itself, as those of bytes do."""
    import transformers

    if not (path / _SETTINGS).is_file():
        return False
    settings: dict[str, Any] = read_json(path / _SETTINGS, where)
    if trusted and settings.get("auto_map"):
        return True
    named = settings.get("tokenizer_class")
    kind = getattr(transformers, named, None) if isinstance(named, str) else None
    return kind is not None and not getattr(kind, "vocab_files_names", True)
