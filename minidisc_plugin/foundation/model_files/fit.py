"""Whether weights belong to the model that `config.json` describes; it is made without memory for its weights."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from minidisc_plugin.foundation.errors import ConfigError, MinidiscError
from minidisc_plugin.foundation.model_files.explain import one_line
from minidisc_plugin.foundation.model_files.folder import ModelFolder

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# What wraps a model puts its own name before those of the weights.
_WRAPPERS = {
    "module": "DistributedDataParallel",
    "_orig_mod": "torch.compile",
    "_fsdp_wrapped_module": "FSDP",
    "_forward_module": "a training framework",
    "base_model": "PEFT",
    "model": "a module around the model",
}
_ADAPTED = re.compile(r"\.(lora_[A-Za-z_]+|base_layer|ia3_l)\.|\.(lora_[A-Za-z_]+|ia3_l)$")
_QUANTIZED = re.compile(r"(_packed_params|\.qweight|\.qzeros|\.weight_scale|\.SCB|\.quant_map|\.absmax)")
# Tables of positions and masks that models of before kept beside their weights; they are computed now.
_COMPUTED = re.compile(r"(^|\.)(position_ids|inv_freq|masked_bias|attn\.bias|relative_position_index)$")
# Beside these, a class may have a pooler in one release and none in another.
_POOLER = re.compile(r"(^|\.)pooler\.")
_META = re.compile(r"\bmeta (tensor|device)|device.{,3}meta\b")
_SIZE = re.compile(r"size|dim|embd|positions|embeddings|layers|heads|^[nd]_")
_TEN_MILLION = 10_000_000


def describe(model_class: Any, config: Any, where: str) -> PreTrainedModel | None:
    """A model of a config without memory for weights; None for a class that cannot be made so.

    Raises:
        ConfigError: nothing can be made of the config.
    """
    import torch

    try:
        with torch.device("meta"):
            made: PreTrainedModel = model_class(config)
        return made
    except MinidiscError:
        raise
    except NotImplementedError:
        return None
    except Exception as error:  # each class has checks of its own, and most have none
        if _META.search(str(error)):
            return None
        raise ConfigError(
            f"{where}: config.json describes no {model_class.__name__} ({one_line(error)}); correct it, or save the "
            "model again with save_pretrained"
        ) from error


def check_fit(folder: ModelFolder, model: PreTrainedModel) -> None:
    """Refuse weights of other shapes, and of other types, than the model's; names are left to transformers.

    Args:
        folder: Whose weights are read.
        model: As `describe` made it.

    Raises:
        ConfigError: names a weight, both shapes, and the key of the config that is to blame.
    """
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    floating = {name for name, value in model.state_dict().items() if value.is_floating_point()}
    prefix = f"{model.base_model_prefix}."
    for name, weight in folder.weights.items():
        mine = next((each for each in (name, prefix + name, name.removeprefix(prefix)) if each in wanted), None)
        if mine is None:
            continue
        if mine in floating and not weight.dtype.startswith(("float", "bfloat")):
            raise ConfigError(
                f"{folder.where}: {name} is kept as {weight.dtype}, so the model is quantized, and cannot be trained "
                "further; give the unquantized teacher, and quantize the student with steps: [quantization]"
            )
        if weight.shape != wanted[mine]:
            raise ConfigError(
                f"{folder.where}: {name} is {_shape(weight.shape)}, and by config.json it is {_shape(wanted[mine])}"
                f"{_to_blame(model, mine, weight.shape, wanted[mine])}; give the config that the weights were saved "
                "with, or save the model again with save_pretrained"
            )
    held, needed = (sum(map(_size, each)) for each in ([w.shape for w in folder.weights.values()], wanted.values()))
    if needed > 4 * held + _TEN_MILLION:
        raise ConfigError(
            f"{folder.where}: by config.json the model has {needed} numbers, and the weights hold {held}; give the "
            "config that the weights were saved with"
        )


def drop_unsaved_pooler(model: PreTrainedModel, info: Mapping[str, Any]) -> None:
    """Leave out the pooler of a bare encoder whose files hold none, as of one that was trained with another head.

    Its hidden states do without; transformers would fill it by chance.

    Args:
        model: As it was loaded; changed in place.
        info: What transformers says about the loading; likewise.
    """
    missing = set(info["missing_keys"])
    pooler: Any = getattr(model, "pooler", None)
    if model.base_model is not model or pooler is None:
        return
    own = {f"pooler.{name}" for name in pooler.state_dict()}
    if own and missing == own:
        model.pooler = None
        info["missing_keys"].clear()


def check_names(
    where: str, model: PreTrainedModel, info: Mapping[str, Any], held: Collection[str] | None, task: str | None
) -> list[str]:
    """Refuse a model of which a part was not in its files, or whose files hold a part that its config leaves out.

    Args:
        where: Its folder, as a message begins.
        model: As it was loaded.
        info: What transformers says about the loading.
        held: Names in the files, where they are known.
        task: What the model is to do, where it matters.

    Returns:
        Names in the files that the model has no use for, and is whole without.

    Raises:
        ConfigError: names a weight and the remedy.
    """
    names = set(model.state_dict())
    missing = sorted((set(info["missing_keys"]) & names) - _tied(model, info["missing_keys"]))
    stray = sorted(name for name in info["unexpected_keys"] if not _COMPUTED.search(name))
    if not any(map(_POOLER.search, names)):
        stray = [name for name in stray if not _POOLER.search(name)]
    if missing or stray:
        _refuse_wrapped(where, held if held is not None else stray, names)
    prefix = f"{model.base_model_prefix}."
    if missing and not any(name.startswith(prefix) for name in missing) and len(names) > len(missing):
        other = f" (which holds {stray[0]})" if stray else ""
        task_text = f" for task {task}" if task else ""
        raise ConfigError(
            f"{where} lacks {missing[0]}{other}, so it was not fine-tuned{task_text}; "
            "fine-tune it first, or set the task that it was fine-tuned for"
        )
    if missing:
        raise ConfigError(
            f"{where} lacks {missing[0]} and {len(missing) - 1} more of the {len(names)} weights that config.json "
            "asks for; give the config that the weights were saved with, or save the model again with save_pretrained"
        )
    own = {name.partition(".")[0] for name in names}
    inside = [name for name in stray if name.startswith(prefix) or name.partition(".")[0] in own or _layer(name)]
    if inside:
        raise ConfigError(
            f"{where}: its weights hold {inside[0]} and {len(inside) - 1} more that config.json leaves out, so the "
            "model would not be what was saved; give the config that the weights were saved with"
        )
    return stray


def check_values(where: str, model: PreTrainedModel) -> None:
    """Refuse weights that are NaN or infinite, and projections that are all zeros.

    Raises:
        ConfigError: names the first.
    """
    import torch
    from torch import nn

    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    with suppress(NotImplementedError):  # of a model that hears
        tables.discard(id(getattr(model.get_input_embeddings(), "weight", None)))
    for name, value in model.named_parameters():
        if value.is_meta or not value.numel() or not value.is_floating_point():
            continue
        if type(value.data) is not torch.Tensor:  # quantized: what it stands for cannot be asked for its range
            continue
        low, high = torch.aminmax(value.detach())
        if not (torch.isfinite(low) and torch.isfinite(high)):
            raise ConfigError(
                f"{where}: {name} holds values that are not finite (NaN or infinity), so its training had failed; give "
                "an earlier checkpoint"
            )
        if value.dim() > 1 and min(value.shape) > 1 and not low and not high and id(value) not in tables:
            raise ConfigError(
                f"{where}: {name} is all zeros, as in a file that was not written to its end; fetch or save the model "
                "again"
            )


def _refuse_wrapped(where: str, held: Iterable[str], names: set[str]) -> None:
    """Refuse names that something around the model gave its weights, or that something put between them."""
    held = list(held)
    for name in held:
        if _ADAPTED.search(name):
            raise ConfigError(
                f"{where}: its weights have an adapter between them ({name}); merge it first with peft's "
                "merge_and_unload(), save the result with save_pretrained, and give that folder"
            )
        if _QUANTIZED.search(name):
            raise ConfigError(
                f"{where}: its weights are quantized ({name}), and cannot be trained further; give the unquantized "
                "teacher, and quantize the student with steps: [quantization]"
            )
    for name in held:
        rest, wrappers = name, []
        while rest not in names and (parts := rest.partition("."))[0] in _WRAPPERS:
            wrappers.append(parts[0])
            rest = parts[2]
        if wrappers and rest in names:
            inside = ".".join(wrappers)
            raise ConfigError(
                f"{where}: names of its weights begin with '{inside}.', put there by {_WRAPPERS[wrappers[0]]}; save "
                f"the model inside, by model.{inside}.save_pretrained(folder), or rename the weights"
            )


def _tied(model: PreTrainedModel, missing: Iterable[str]) -> set[str]:
    """Those that share their memory with a weight that is not missing."""
    missing = set(missing)
    state = model.state_dict(keep_vars=True)
    loaded = {id(value) for name, value in state.items() if name not in missing}
    return {name for name in missing & set(state) if id(state[name]) in loaded}


def _layer(name: str) -> bool:
    return re.search(r"\.\d+\.", name) is not None


def _size(shape: Iterable[int]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a single number"


def _to_blame(model: PreTrainedModel, name: str, held: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """The keys of a config that may give the length in which two shapes differ."""
    if len(held) != len(wanted):
        return ""
    length, instead = next((theirs, mine) for mine, theirs in zip(held, wanted, strict=True) if mine != theirs)
    if not name.startswith(f"{model.base_model_prefix}.") and length == model.config.num_labels:
        return f" (id2label names {length} classes, and the head has {instead})"
    keys = [key for key, value in model.config.to_dict().items() if value == length and _SIZE.search(key)]
    if not keys and getattr(model.config, "layer_sizes", None) is not None:
        return " (layer_sizes)"
    return f" ({', '.join(keys)}: {length})" if keys else ""
