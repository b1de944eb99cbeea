"""What makes a model's inputs of images and sounds, refused where it does not fit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minidisc_plugin.foundation.errors import ConfigError, MinidiscError
from minidisc_plugin.foundation.model_files.broken_file import read_json
from minidisc_plugin.foundation.model_files.explain import not_loaded
from minidisc_plugin.foundation.model_files.places import is_local
from minidisc_plugin.foundation.model_files.quiet import quiet
from minidisc_plugin.foundation.printable import shown
from minidisc_plugin.tasks.images import PIXELS
from minidisc_plugin.tasks.sounds import INPUTS

# The second is of a release that keeps several processors in one file.
_FILES = ("preprocessor_config.json", "processor_config.json")


@dataclass(frozen=True)
class Preprocessor:
    """A kind of them.

    Attributes:
        said: What it is called.
        auto_class: The Auto class of transformers that loads it.
        reads: An example, for messages.
        makes: Names of inputs, of which the first that it makes has to be one.
    """

    said: str
    auto_class: str
    reads: str
    makes: tuple[str, ...]


FEATURE_EXTRACTOR = Preprocessor("feature extractor", "AutoFeatureExtractor", "a sound", INPUTS)
KINDS = (Preprocessor("image processor", "AutoImageProcessor", "an image", (PIXELS,)), FEATURE_EXTRACTOR)


def load_preprocessor(kind: Preprocessor, name: str, trust_remote_code: bool) -> Any:
    """The preprocessor of a model.

    Args:
        kind: Of it.
        name: Its folder, or a name on the Hub.
        trust_remote_code: Run code that comes with it.

    Raises:
        ConfigError: none there, a broken one, or one that makes something else.
    """
    import transformers

    where = f"tokenizer: {name!r}"
    if local := is_local(name, where):
        _check_files(kind, Path(name), where)
    try:
        with quiet(bars=not local):
            loader = getattr(transformers, kind.auto_class)
            processor = loader.from_pretrained(name, trust_remote_code=trust_remote_code)
    except MinidiscError:
        raise
    except (Exception, SystemExit) as error:  # each kind of preprocessor fails in a way of its own
        raise not_loaded(where, error, local=local, otherwise=", or give another in tokenizer:") from error
    names = getattr(processor, "model_input_names", None)
    if names is None or not set(names[:1]) <= set(kind.makes):
        wanted = " or ".join(kind.makes)
        raise ConfigError(f"{where} makes {shown(names)} of {kind.reads}, and not {wanted}; give the model's own")
    return processor


def _check_files(kind: Preprocessor, folder: Path, where: str) -> None:
    """Refuse a folder without a preprocessor, or with a broken one."""
    if not folder.is_dir():
        what = "a file; give the folder that holds it" if folder.exists() else "not there; give the folder of the model"
        raise ConfigError(f"{where} is {what}")
    found = [folder / name for name in _FILES if (folder / name).exists() or (folder / name).is_symlink()]
    for file in found:
        read_json(file, where)
    if not found:
        raise ConfigError(
            f"{where} has no {kind.said} ({_FILES[0]}); save the model's there with save_pretrained, or set "
            "tokenizer: to a folder that has it"
        )
