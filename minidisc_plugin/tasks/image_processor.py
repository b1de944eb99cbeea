"""The image processor of a model, refused where it does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minidisc_plugin.foundation.errors import ConfigError, MinidiscError
from minidisc_plugin.foundation.model_files.broken_file import read_json
from minidisc_plugin.foundation.model_files.explain import not_loaded
from minidisc_plugin.foundation.model_files.places import is_local
from minidisc_plugin.foundation.model_files.quiet import quiet
from minidisc_plugin.foundation.printable import shown
from minidisc_plugin.tasks.images import PIXELS

# The second is of a release that keeps several processors in one file.
_FILES = ("preprocessor_config.json", "processor_config.json")


def load_image_processor(name: str, trust_remote_code: bool) -> Any:
    """The image processor of a model.

    Args:
        name: Its folder, or a name on the Hub.
        trust_remote_code: Run code that comes with it.

    Raises:
        ConfigError: none there, a broken one, or one that makes something else than pixels of images.
    """
    from transformers import AutoImageProcessor

    where = f"tokenizer: {name!r}"
    if local := is_local(name, where):
        _check_files(Path(name), where)
    try:
        with quiet(bars=not local):
            processor = AutoImageProcessor.from_pretrained(name, trust_remote_code=trust_remote_code)
    except MinidiscError:
        raise
    except (Exception, SystemExit) as error:  # each kind of image processor fails in a way of its own
        raise not_loaded(where, error, local=local, otherwise=", or give another in tokenizer:") from error
    names = getattr(processor, "model_input_names", None)
    if names is None or PIXELS not in names:
        raise ConfigError(f"{where} makes {shown(names)} of an image, and not {PIXELS}; give the model's own")
    return processor


def _check_files(folder: Path, where: str) -> None:
    """Refuse a folder without an image processor, or with a broken one."""
    if not folder.is_dir():
        what = "a file; give the folder that holds it" if folder.exists() else "not there; give the folder of the model"
        raise ConfigError(f"{where} is {what}")
    found = [folder / name for name in _FILES if (folder / name).exists() or (folder / name).is_symlink()]
    for file in found:
        read_json(file, where)
    if not found:
        raise ConfigError(
            f"{where} has no image processor ({_FILES[0]}); save the model's there with save_pretrained, or set "
            "tokenizer: to a folder that has it"
        )
