"""FSDP: weights, gradients and optimizer states in equal shards, one a process."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.processes import process_count

if TYPE_CHECKING:
    from transformers import Trainer, TrainingArguments

logger = logging.getLogger(__name__)

_BY_LAUNCHER = "ACCELERATE_USE_FSDP"
_KNOWN = {"full_shard", "auto_wrap"}
_NEEDED = {"accelerate": "1.6", "torch": "2.6", "transformers": "4.57"}


def is_sharded(args: TrainingArguments) -> bool:
    """Whether training shards the network over processes."""
    return bool(args.fsdp)


def wants_sharding(settings: Mapping[str, Any]) -> bool:
    """Whether the section `training`, or `accelerate launch --use_fsdp`, asks for FSDP."""
    return bool(settings.get("fsdp")) or os.environ.get(_BY_LAUNCHER, "").lower() == "true"


def with_sharding(values: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as the installed transformers takes them; those of FSDP are dropped in a run of one process.

    Raises:
        ConfigError: a kind of FSDP that prefix slices are not tried with, or releases that are too old for it.
    """
    values = dict(values)
    kind = values.pop("fsdp", None)
    config = values.pop("fsdp_config", None) or {}
    if not wants_sharding({"fsdp": kind}):
        return values
    words = set(kind.split()) if isinstance(kind, str) else set()
    if not words <= _KNOWN or not (isinstance(kind, str) or kind is None or kind is True):
        raise ConfigError(f"training.fsdp: {kind!r} is not supported; set it to true")
    if not isinstance(config, Mapping):
        raise ConfigError(f"training.fsdp_config: {config!r} is not a mapping; write its keys here")
    config = {name.removeprefix("fsdp_"): value for name, value in config.items()}
    if str(config.get("version", 2)) != "2":
        raise ConfigError(f"training.fsdp_config.version: {config['version']!r} is not supported; leave it out, or 2")
    if process_count() == 1:
        logger.warning("training.fsdp: one process has nothing to share; start the run with torchrun to shard it")
        return values
    _check_releases()
    # What transformers 4 does not say to accelerate. Every process has loaded the same weights.
    os.environ.update(FSDP_VERSION="2", FSDP_STATE_DICT_TYPE="FULL_STATE_DICT")
    config = {"sync_module_states": False, **config, "version": 2}
    return {**values, "fsdp": True if _names_nothing() else "full_shard auto_wrap", "fsdp_config": config}


def prepare_sharding(trainer: Trainer) -> None:
    """Make accelerate shard a trainer's model layer by layer, and on CPUs too, where it would quietly keep copies."""
    if not is_sharded(trainer.args):
        return
    from accelerate import PartialState
    from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

    state = trainer.accelerator.state
    if state.distributed_type == DistributedType.MULTI_CPU:
        state.fsdp_plugin = FullyShardedDataParallelPlugin(**(getattr(trainer.args, "fsdp_plugin_args", None) or {}))
        if trainer.accelerator.mixed_precision != "no":
            state.fsdp_plugin.set_mixed_precision(trainer.accelerator.mixed_precision)
        state.distributed_type = PartialState._shared_state["distributed_type"] = DistributedType.FSDP
        trainer.is_fsdp_enabled = True
    if not trainer.args.fsdp_config.get("transformer_layer_cls_to_wrap"):
        state.fsdp_plugin.transformer_cls_names_to_wrap = _layers(trainer.model)


def _layers(model: Any) -> list[str]:
    """Classes that are sharded one by one; accelerate shards the embeddings itself, and fails on what holds them."""
    embeddings = model.get_input_embeddings()
    holders = {type(module).__name__ for module in model.modules() if embeddings in module.modules()}
    return sorted(set(model._no_split_modules or ()) - holders)


def _check_releases() -> None:
    from importlib.metadata import version

    from packaging.version import Version

    for name, needed in _NEEDED.items():
        if Version(version(name)) < Version(needed):
            raise ConfigError(f"training.fsdp: needs {name} {needed}, found {version(name)}; upgrade it or remove fsdp")


def _names_nothing() -> bool:
    """Whether transformers takes `fsdp` as a switch and not as a list of words: from 5 on."""
    from importlib.metadata import version

    return int(version("transformers").partition(".")[0]) >= 5
