"""Parameters of the pass: keys of our config with their own types, defaults and descriptions, and back again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from olive.passes.pass_config import PassConfigParam, PassParamDefault
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.validation import validate
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.storage import storage_errors
from minidisc_plugin.olive.data_digest import digest_of_data
from minidisc_plugin.run.config.file import read_config

CONFIG_FILE = "config_file"
_CONFIG_FILE = (
    "A compression config in YAML or JSON, as `minidisc run` takes it. Its `model`, `task` and `output_dir` are not "
    "read, for Olive gives them; parameters of the pass take the place of the file's keys."
)
DATA_DIGEST = "data_digest"
_DATA_DIGEST = (
    "SHA-256 of the data files that lie on this machine. The pass fills it in, so that Olive's cache gives no student "
    "of other data; what a workflow says here is not read."
)
# What a config says and a pass does not, and why.
NOT_HERE: Mapping[str, str] = {
    "model": "it is Olive's input_model, or what the pass before this one made",
    "task": "it is the `task` of Olive's input_model",
    "output_dir": "Olive chooses it",
    "versions": "it is recorded, not read",
    "steps": "further steps are passes of Olive, after this one",
    "export": "it is a pass of Olive, after this one",
    "quantization": "it is a pass of Olive, after this one",
}
# The pass has the name of a scheduler, so it is the default here.
_DEFAULTS = {"scheduler": "minidisc"}


def schema() -> dict[str, PassConfigParam]:
    """Every parameter by name, as `Pass._default_config` returns them."""
    ours = {name: _parameter(name, field) for name, field in CompressionConfig.model_fields.items()}
    return {
        CONFIG_FILE: PassConfigParam(type_=str, default_value=None, description=_CONFIG_FILE),
        **{name: parameter for name, parameter in ours.items() if name not in NOT_HERE},
        DATA_DIGEST: PassConfigParam(type_=str, default_value=None, description=_DATA_DIGEST),
    }


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as plain data, with what their file holds; Olive's cache then sees that a file has changed.

    Args:
        given: As a workflow holds them; None, or Olive's word for it, stands for the default.

    Raises:
        ConfigError: a parameter is unknown, not one of a pass, or holds a value that cannot be used; one line.
    """
    given = {key: value for key, value in given.items() if value not in (None, PassParamDefault.DEFAULT_VALUE)}
    file = given.pop(CONFIG_FILE, None)
    given.pop(DATA_DIGEST, None)
    _refuse(given)
    config = _whole({**_DEFAULTS, **_of_file(file), **given})
    with storage_errors(config.dataset.path):
        digest = digest_of_data(config.dataset)
    return {**_plain(config), **({DATA_DIGEST: digest} if digest else {})}


def config_of(parameters: Mapping[str, Any], *, model: str, task: str, output_dir: str) -> CompressionConfig:
    """The config of the run that a pass makes.

    Args:
        parameters: By name, each of them, as `checked` and Olive left them.
        model: Folder or Hub name of the teacher.
        task: Its task, as Olive names it.
        output_dir: Where the run is made.

    Raises:
        ConfigError: the task is not one that can be compressed, or Olive changed a value.
    """
    defaults = schema()
    # A key that holds its default was not given, as far as the run is concerned: it may not go with others.
    changed = {
        name: value
        for name, value in parameters.items()
        if name in _DEFAULTS or (name in defaults and value != defaults[name].default_value)
    }
    changed |= {"model": model, "task": task.removesuffix("-with-past"), "output_dir": output_dir}
    ours = {key: value for key, value in changed.items() if value is not None}
    return _whole({key: value for key, value in ours.items() if key not in (CONFIG_FILE, DATA_DIGEST)})


def _of_file(file: object) -> dict[str, Any]:
    if file is None:
        return {}
    if not isinstance(file, str):
        raise ConfigError(f"{CONFIG_FILE}: {file!r} cannot be used: give the path of a YAML or JSON file")
    config = read_config(file, [f"{key}={value}" for key, value in _ANY.items()])
    if config.steps:
        raise ConfigError(f"{file}: steps: {NOT_HERE['steps']}; remove the key")
    return _plain(config)


def _plain(config: CompressionConfig) -> dict[str, Any]:
    """What was given, without what a pass does not say."""
    data: dict[str, Any] = config.model_dump(mode="json", exclude_unset=True)
    return {key: value for key, value in data.items() if key not in NOT_HERE}


def _whole(data: Mapping[str, Any]) -> CompressionConfig:
    config = validate(CompressionConfig, {**_ANY, **data})
    if len(config.pruning.sparsities) > 1:
        raise ConfigError(
            f"pruning.target_sparsity: {config.pruning.sparsities} are several students, and this pass makes one; "
            "give one, and a pass for each"
        )
    return config


# What a config must have, in place of what Olive gives when the pass runs.
_ANY = {"model": "teacher", "output_dir": "student"}


def _refuse(given: Mapping[str, Any]) -> None:
    for key in NOT_HERE:
        if key in given:
            raise ConfigError(f"{key}: not a parameter of this pass, for {NOT_HERE[key]}; remove it")


def _parameter(name: str, field: FieldInfo) -> PassConfigParam:
    kind: Any = field.annotation
    is_section = isinstance(kind, type) and issubclass(kind, BaseModel)
    return PassConfigParam(
        type_=dict[str, Any] if is_section else kind,
        required=field.is_required(),
        default_value=_DEFAULTS.get(name, None if is_section else _default(field)),
        description=field.description,
    )


def _default(field: FieldInfo) -> Any:
    return None if field.is_required() else field.get_default(call_default_factory=True)
