"""The teacher of a task, stock or narrow, refused where it does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.family import Family
from minidisc_plugin.contracts.task import Task
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.model_files.broken_file import read_json
from minidisc_plugin.foundation.model_files.folder import CONFIG, cached_folder, check_config, read_folder
from minidisc_plugin.foundation.model_files.places import is_local
from minidisc_plugin.foundation.model_files.sizes import check_sizes
from minidisc_plugin.foundation.model_files.types import trained_type, type_of
from minidisc_plugin.foundation.printable import one_line
from minidisc_plugin.nested.checkpoint import class_for, load_from
from minidisc_plugin.tasks.registry import task_of_class

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def load_teacher(
    model: str, trust_remote_code: bool, task: Task | None = None, *, families: Mapping[str, Family]
) -> PreTrainedModel:
    """The fine-tuned model of a task; text classification when left out. Its weights are in the type of its files.

    Raises:
        ConfigError: nothing there that transformers can load, a broken model, or one that was fine-tuned for something
            else.
    """
    return read_teacher(model, trust_remote_code, task, families=families, as_saved=True)[0]


def read_teacher(
    model: str,
    trust_remote_code: bool,
    task: Task | None = None,
    *,
    families: Mapping[str, Family],
    weights: str | None = None,
    as_saved: bool = False,
) -> tuple[PreTrainedModel, str]:
    """As `load_teacher`, in the type that it is to be trained in, and the type of most weights in its files.

    Args:
        model: A folder or a Hub name.
        trust_remote_code: Run code that comes with it.
        task: What it is to do.
        families: By model type.
        weights: What `engine.weights` says.
        as_saved: Leave weights in the type of the files.
    """
    import torch

    from minidisc_plugin.foundation.model_files.loading import load_config, load_model
    from minidisc_plugin.tasks.text_classification import TextClassification

    task = task or TextClassification()
    where = f"model: {model!r}"
    folder = read_folder(Path(model), where, trust_remote_code) if is_local(model, where) else None
    config = load_config(model, where, data=None if folder is None else folder.config, trusted=trust_remote_code)
    if folder is None:
        check_config(config.to_dict(), where, trust_remote_code)
        check_sizes(config.to_dict(), where)
        folder = cached_folder(model, where, trust_remote_code)
    _check_task(config, task)
    dtype = None
    if folder is not None:
        dtype = folder.saved_type if as_saved else trained_type(weights, folder.saved_type, folder.numbers)
    if folder is not None and getattr(config, "layer_sizes", None) is not None:
        found = load_from(folder, config, families, trusted=trust_remote_code, dtype=dtype)
    else:
        found = load_model(
            _class_of(config, task, families, where, trust_remote_code),
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


def drawn_model(model: str, families: Mapping[str, Family], trust_remote_code: bool = False) -> PreTrainedModel:
    """The model that a `config.json` describes, of the class that its weights were saved from, drawn at random.

    Args:
        model: A folder or a Hub name; no weights need be there.
        families: By model type.
        trust_remote_code: Run code that comes with it.

    Raises:
        ConfigError: nothing there that transformers can make a model of.
    """
    import transformers

    from minidisc_plugin.foundation.model_files.fit import describe
    from minidisc_plugin.foundation.model_files.loading import load_config

    where, data = f"MODEL: {model!r}", None
    if is_local(model, where):
        if not Path(model, CONFIG).is_file():
            raise ConfigError(f"{where} has no {CONFIG}; give the folder of a model")
        data = read_json(Path(model, CONFIG), where)
    config = load_config(model, where, data=data, trusted=trust_remote_code)
    check_config(config.to_dict(), where, trust_remote_code)
    check_sizes(config.to_dict(), where)
    own = [auto for auto in getattr(config, "auto_map", None) or {} if auto != "AutoConfig"]
    if trust_remote_code and own:
        try:
            made: PreTrainedModel = getattr(transformers, own[0]).from_config(config, trust_remote_code=True)
        except Exception as error:  # it is anyone's code
            raise ConfigError(f"{where}: its own code makes no model of its config ({one_line(str(error))})") from error
        return made
    kind = class_for(config.architectures[0], config, families, where)
    describe(kind, config, where)
    made = kind(config)
    return made


def _check_task(config: Any, task: Task) -> None:
    """Refuse a model that was fine-tuned for something else.

    Raises:
        ConfigError: names its task.
    """
    architecture = (config.architectures or [""])[0]
    trained_for = task_of_class(architecture)
    if trained_for is not None and trained_for.name != task.name:
        raise ConfigError(
            f"task: {task.name!r} does not fit the model, a {architecture}; set task: {trained_for.name}, "
            "or give a teacher that was fine-tuned for it"
        )


def _class_of(config: Any, task: Task, families: Mapping[str, Family], where: str, trusted: bool) -> Any:
    """The class that a task loads models of a config with; the Auto class itself where the model's own code says.

    Raises:
        ConfigError: there is none, or the weights were saved from another.
    """
    import transformers

    auto = getattr(transformers, task.auto_class)
    if trusted and task.auto_class in (getattr(config, "auto_map", None) or {}):
        return auto
    architecture = config.architectures[0]
    class_for(architecture, config, families, where)
    if type(config) not in auto._model_mapping:
        raise ConfigError(
            f"{where} is of type {config.model_type!r}, which transformers has no class of for task {task.name}"
        )
    found = auto._model_mapping[type(config)]
    if isinstance(found, (list, tuple)):
        return next((kind for kind in found if kind.__name__ == architecture), found[0])
    return found
