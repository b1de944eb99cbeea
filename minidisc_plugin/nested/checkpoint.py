"""Narrow models as Hugging Face checkpoints: sizes in `config.json`, the modelling code beside the weights."""

from __future__ import annotations

import copy
import functools
import os
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from pprint import pformat
from typing import TYPE_CHECKING, Any

import torch

from minidisc_plugin.contracts.family import Family
from minidisc_plugin.foundation.atomic import write_text
from minidisc_plugin.foundation.errors import ConfigError, UnsupportedModelError
from minidisc_plugin.foundation.model_files.folder import ModelFolder, read_folder
from minidisc_plugin.foundation.model_files.loading import load_config, load_model
from minidisc_plugin.nested import remote
from minidisc_plugin.nested.family import family_of, save_layouts
from minidisc_plugin.nested.layer_sizes import check_layer_sizes
from minidisc_plugin.nested.narrow import narrow
from minidisc_plugin.nested.origin import forget_origin, remember_origin
from minidisc_plugin.nested.prefix import unshare
from minidisc_plugin.nested.remote import PREFIX
from minidisc_plugin.nested.stock import as_uniform
from minidisc_plugin.tasks.embedding_head import drop_head

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CODE_FILE = "modeling_narrow.py"
_RECORDING: set[type] = set()
_IMPORT = "from torch import Tensor, nn"


class NarrowCheckpoint:
    """Mixed into a stock model class: narrows it to `config.layer_sizes`, and saves the code to do so elsewhere."""

    family: Family

    def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)  # type: ignore[call-arg]
        narrow(self, self.family.plain(), config.layer_sizes["heads"], config.layer_sizes["neurons"])

    def save_pretrained(self, save_directory: str | os.PathLike[str], *args: Any, **kwargs: Any) -> None:
        """Save as `PreTrainedModel.save_pretrained` does, with the modelling file beside the weights."""
        own = self._own_class()
        base = _stock_class(own)
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        autos = _auto_classes(base, self.family, self.config)  # type: ignore[attr-defined]
        self.config.auto_map = {  # type: ignore[attr-defined]
            **{auto: f"{Path(CODE_FILE).stem}.{own.__name__}" for auto in autos},
            **remote.own_config(self.config),  # type: ignore[attr-defined]
        }
        write_text(folder / CODE_FILE, _modelling_code(base, self.family, autos[0]))
        remote.copy_own_code(base, self.config, folder)  # type: ignore[attr-defined]
        super().save_pretrained(save_directory, *args, **kwargs)  # type: ignore[misc]
        remember_origin(self, folder)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """As objects of classes that are found by name, which this one is not: it is made anew of base and family."""
        own = self._own_class()
        if type(self) is not own:
            return super().__reduce_ex__(protocol)
        found: Any = super().__reduce_ex__(max(protocol, 2))  # from 2 on a state stands apart from how it is made
        return _unfilled, (_stock_class(own), self.family), *found[2:]

    def _own_class(self) -> type:
        # FSDP puts a class of its own before a model's while it trains.
        return next(kind for kind in type(self).__mro__ if kind.__module__ == __name__)


@functools.cache
def narrow_class(base: Any, family: Family) -> type[PreTrainedModel]:
    """The narrow variant of a stock Hugging Face model class."""
    name = f"{PREFIX}{base.__name__}"
    attributes = {
        "family": family,
        "__module__": __name__,
        "__doc__": f"{base.__name__} with narrow layers.",
        "_auto_class": None,  # of code of its own, transformers would copy this file in place of that
    }
    return type(name, (NarrowCheckpoint, base), attributes)


def _recording(kind: Any, config: Any) -> Any:
    """A class whose models give hidden states themselves: those that transformers has made a model of do."""
    if kind not in _RECORDING:
        with torch.device("meta"):
            kind(config)
        _RECORDING.add(kind)
    return kind


def _unfilled(base: Any, family: Family) -> PreTrainedModel:
    """What unpickling fills: a model of the narrow class, without parts."""
    kind: Any = narrow_class(base, family)
    model: PreTrainedModel = kind.__new__(kind)
    return model


def as_checkpoint(
    model: PreTrainedModel, family: Family, heads: Sequence[int], neurons: Sequence[int]
) -> PreTrainedModel:
    """Finish a copied slice, in place: plain layers of its sizes, a class and a config that save and load them.

    Where the family's config can say that all layers have these sizes, that is the class of transformers itself. It
    names no folder: its weights are not those that the full model was loaded from.

    Args:
        model: The copy; its sliced parameters may be narrow already.
        family: Its family.
        heads: Units of every attention.
        neurons: Neurons of every feed-forward network.
    """
    for module in model.modules():
        unshare(module)
    narrow(model, family.plain(), heads, neurons)
    base = _stock_class(type(model))
    model.config = copy.deepcopy(model.config)
    forget_origin(model)
    if hasattr(getattr(model, "generation_config", None), "alignment_heads"):  # which are named by their places
        del model.generation_config.alignment_heads
    uniform = as_uniform(model, base, family, heads, neurons)
    if uniform is not None:
        model.config = uniform
        model.__class__ = base
        return model.eval()
    model.config.layer_sizes = {"heads": list(heads), "neurons": list(neurons)}
    save_layouts(model.config, family)
    model.__class__ = _recording(narrow_class(base, family), model.config)  # type: ignore[arg-type]
    # Names that transformers 5 gave weights as it read them: saved by older names, a class of our own would miss them.
    vars(model).pop("_weight_conversions", None)
    return model.eval()


def freeze_unsaved(model: PreTrainedModel) -> None:
    """Leave untrained what no checkpoint of a model holds, such as positions that are computed when it is made.

    From transformers 5 on, Marian's are no longer marked so after a model was loaded.
    """
    unsaved = set(model._keys_to_ignore_on_save or ())
    if unsaved:
        weights = model.state_dict(keep_vars=True)
        saved = {id(weight) for name, weight in weights.items() if name not in unsaved}
        for name in unsaved & weights.keys():
            if id(weights[name]) not in saved:
                weights[name].requires_grad_(False)


def as_stock(model: PreTrainedModel) -> PreTrainedModel:
    """The same modules and weights under the class of transformers that a narrow model is made of.

    Exporters and quantizers know classes of transformers only. Its config is a copy, without the code that
    checkpoints name; the given model is left as it is.
    """
    stock = copy.copy(model)
    stock.__class__ = _stock_class(type(model))
    stock.config = copy.deepcopy(model.config)
    stock.config.architectures = [type(stock).__name__]
    stock.config.__dict__.pop("auto_map", None)
    drop_head(stock)
    return stock


def load(
    directory: str | os.PathLike[str], families: Mapping[str, Family], *, trust_remote_code: bool = False, **kwargs: Any
) -> PreTrainedModel:
    """Load a teacher, an assistant or a student from a folder; no code of that folder is run unless it is trusted.

    Weights are in the type that most of them are saved in, unless `dtype` (or `torch_dtype`) says otherwise.

    Args:
        directory: A folder that `save_pretrained` wrote.
        families: By model type.
        trust_remote_code: Run code that a model of no class of transformers needs.
        **kwargs: Passed to `PreTrainedModel.from_pretrained`.

    Raises:
        ConfigError: no checkpoint there, a broken one, or one of a class that transformers does not have.
    """
    where = repr(os.fspath(directory))
    folder = read_folder(Path(directory), where, trust_remote_code)
    config = load_config(os.fspath(directory), where, data=folder.config, trusted=trust_remote_code)
    return load_from(folder, config, families, trusted=trust_remote_code, **kwargs)


def load_from(
    folder: ModelFolder, config: Any, families: Mapping[str, Family], *, trusted: bool = False, **kwargs: Any
) -> PreTrainedModel:
    """The model in a folder that was read, by the class that its config names.

    Raises:
        ConfigError: it is broken, or of a class that transformers does not have.
    """
    for key in ("dtype", "torch_dtype"):
        if key in kwargs:
            kwargs["dtype"] = kwargs.pop(key)
    if trusted and folder.architecture.startswith(PREFIX) and "AutoConfig" in (folder.config.get("auto_map") or {}):
        base = remote.base_in(folder.path, config.auto_map)
        model_class: Any = narrow_class(base, family_of(config, families))
    else:
        model_class = class_for(folder.architecture, config, families, folder.where)
    if issubclass(model_class, NarrowCheckpoint):
        check_layer_sizes(config, _stock_class(model_class), model_class.family, folder.where)
    return load_model(model_class, os.fspath(folder.path), config, folder.where, folder=folder, **kwargs)


def class_for(architecture: str, config: Any, families: Mapping[str, Family], where: str = "config.json") -> Any:
    """The model class of a checkpoint's config: one of transformers, or the narrow variant of one.

    Raises:
        ConfigError: transformers has no such class, or it is one of another kind of config.
    """
    import transformers

    base = getattr(transformers, architecture.removeprefix(PREFIX), None)
    if not isinstance(base, type) or not issubclass(base, transformers.PreTrainedModel):
        raise ConfigError(
            f"{where}: architecture {architecture!r} is not a class of transformers; give a model of a class that is"
        )
    if not isinstance(config, getattr(base, "config_class", None) or type(config)):
        raise ConfigError(
            f"{where}: config.json says model_type: {config.model_type!r} and architectures: {architecture!r}, which "
            "do not belong together; give the config that the weights were saved with"
        )
    if getattr(config, "layer_sizes", None) is None:
        return base
    return narrow_class(base, family_of(config, families))


def _stock_class(model_class: type) -> type[PreTrainedModel]:
    """The class of transformers, or of the model's own code, that a model is made of: a narrow class's base."""
    import transformers

    own: type[PreTrainedModel] | None = remote.own_class(model_class)
    if own is not None:
        return own
    name = model_class.__name__.removeprefix(PREFIX)
    stock = getattr(transformers, name, None)
    namesake = name == model_class.__name__ and model_class is not stock
    if namesake or not isinstance(stock, type) or not issubclass(model_class, stock):
        raise UnsupportedModelError(
            f"model: {model_class.__name__} is not a class of transformers, so its slices could not be loaded "
            "elsewhere; load the model without remote code"
        )
    return stock


def _auto_classes(base: type, family: Family, config: Any) -> list[str]:
    """Names of the Auto classes that resolve this family to `base`."""
    from transformers.models.auto import modeling_auto

    if remote.own_class(base) is not None:
        return remote.own_auto_classes(base, config)
    names = []
    for name, auto in vars(modeling_auto).items():
        if name.startswith("Auto") and hasattr(auto, "_model_mapping"):
            found = auto._model_mapping._model_mapping.get(family.model_type)
            if base.__name__ in (found if isinstance(found, tuple) else (found,)):
                names.append(name)
    return names


def _modelling_code(base: type, family: Family, auto: str) -> str:
    own = remote.own_class(base)
    imported = f"from transformers import {base.__name__}" if own is None else remote.import_of(own)
    source = resources.files("minidisc_plugin.nested").joinpath("narrow.py").read_text(encoding="utf-8")
    body = source.split('"""', 2)[2].strip()
    return f'''"""{base.__name__} whose layers have the sizes given by `layer_sizes` in config.json.

Made by minidisc-plugin; needs torch and transformers only.
"""

{body.replace(_IMPORT, f"{_IMPORT}{chr(10)}{imported}", 1)}


LAYOUTS = {pformat(family.plain(), sort_dicts=False, width=110)}


class {PREFIX}{base.__name__}({base.__name__}):
    """Narrowed while it is made, so that weights of the recorded sizes fit."""

    _auto_class = {auto!r}

    def __init__(self, config, *args, **kwargs):
        super().__init__(config, *args, **kwargs)
        # transformers 4.45 goes on to use this class for every model of this type in the process.
        sizes = getattr(config, "layer_sizes", None)
        if sizes is not None:
            narrow(self, LAYOUTS, sizes["heads"], sizes["neurons"])
'''
