"""`protocol`: presets of how a run trains; a key that the user writes always wins over the preset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minidisc_plugin.contracts.config import CompressionConfig, EngineConfig, Protocol
from minidisc_plugin.contracts.inputs import NOT_TEXTS

# The published protocol (section 4.1 and its code): every candidate in every step, random batches padded to one length,
# the teacher run in each step, evaluations every 10 steps.
_PUBLISHED: Mapping[str, Mapping[str, Any]] = {
    "engine": {
        "padding": "max_length",
        "dropout": True,
        "teacher_cache": False,
        "half_precision": False,
        "compile": False,
    },
    "scheduler_config": {"sampling": "all", "halving": False},
    "training": {"group_by_length": False, "eval_strategy": "steps", "eval_steps": 10},
}
_FAST: Mapping[str, Mapping[str, Any]] = {
    "engine": {
        "padding": "longest",
        "dropout": False,
        "teacher_cache": "auto",
        "half_precision": "auto",
        "compile": "auto",
    },
    "scheduler_config": {},
    "training": {},
}
PRESETS: Mapping[Protocol, Mapping[str, Mapping[str, Any]]] = {"fast": _FAST, "published": _PUBLISHED}
FAST_ENGINE = EngineConfig(**_FAST["engine"])

# What transformers also calls a key.
_OTHER_NAMES = {"group_by_length": "train_sampling_strategy", "eval_strategy": "evaluation_strategy"}


def engine_of(engine: EngineConfig, protocol: Protocol, without: frozenset[str] = frozenset()) -> EngineConfig:
    """The section `engine` with what the protocol sets and the user did not, but for some keys."""
    preset = {name: value for name, value in PRESETS[protocol]["engine"].items() if name not in without}
    return engine.model_copy(update={name: value for name, value in preset.items() if getattr(engine, name) is None})


def with_protocol(config: CompressionConfig) -> CompressionConfig:
    """The config with what its protocol sets and the user did not."""
    preset = PRESETS[config.protocol]
    whole = config.task in NOT_TEXTS
    of_one_size = {"group_by_length": False} if whole else {}
    training = {
        name: value
        for name, value in {**preset["training"], **of_one_size}.items()
        if name not in config.training and _OTHER_NAMES.get(name) not in config.training
    }
    if "eval_strategy" not in training:
        training.pop("eval_steps", None)
    return config.model_copy(
        update={
            "engine": engine_of(config.engine, config.protocol, frozenset({"padding"} if whole else ())),
            "training": {**config.training, **training},
            "scheduler_config": {**preset["scheduler_config"], **config.scheduler_config},
        }
    )
