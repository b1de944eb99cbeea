"""Keys of TrainingArguments: those that the pipeline owns, those that do not work here, and values out of range."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest
from transformers import TrainingArguments

from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.training.arguments import DEFAULTS
from minidisc_plugin.training.keys import OWNED, REFUSED, check_training

FIELDS = {field.name: field for field in dataclasses.fields(TrainingArguments) if field.init}
DEFAULT_VALUES = {
    name: field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    for name, field in FIELDS.items()
}


def refused(settings: dict[str, Any]) -> str:
    with pytest.raises(ConfigError, match=r"^training\.") as caught:
        check_training(settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("key", sorted(OWNED))
def test_what_the_pipeline_sets_is_refused_with_any_value(key: str) -> None:
    for value in (True, "x", DEFAULT_VALUES.get(key)):
        assert refused({key: value}) == f"training.{key}: {OWNED[key]}"


@pytest.mark.parametrize("key", sorted(REFUSED))
def test_what_does_not_work_is_refused_unless_it_is_left_as_it_is(key: str) -> None:
    default = DEFAULT_VALUES.get(key)
    other = [True, 3, "x"] if default is not True else [False, 3, "x"]
    for value in other:
        assert refused({key: value}) == f"training.{key}: {value!r} cannot be used: {REFUSED[key]}"
    if key in FIELDS:
        check_training({key: default})


def test_every_reason_says_what_to_do() -> None:
    for reason in (*OWNED.values(), *REFUSED.values()):
        assert any(word in reason for word in ("remove", "write", "set", "shard", "step"))
    assert not OWNED.keys() & REFUSED.keys() and not DEFAULTS.keys() & (OWNED | REFUSED).keys()


def test_every_key_of_the_tables_is_one_of_some_release() -> None:
    """A key that both releases have lost would be refused for a reason that is not true any more."""
    gone_from_5 = {
        *("adafactor", "fp16_backend", "fp16_opt_level", "fsdp_min_num_params", "fsdp_transformer_layer_cls_to_wrap"),
        *("half_precision_backend", "include_inputs_for_metrics", "jit_mode_eval", "mp_parameters", "past_index"),
        *("overwrite_output_dir", "per_gpu_eval_batch_size", "per_gpu_train_batch_size", "push_to_hub_model_id"),
        *("push_to_hub_organization", "ray_scope", "save_safetensors", "torchdynamo", "tpu_metrics_debug"),
        *("tpu_num_cores", "use_legacy_prediction_loop", "use_mps_device", "local_rank"),
    }
    new_in_5 = {"enable_jit_checkpoint", "use_cache"}
    assert (OWNED | REFUSED).keys() <= FIELDS.keys() | (new_in_5 if "use_cache" not in FIELDS else gone_from_5)


@pytest.mark.parametrize(
    "settings",
    [
        {"learning_rate": 0},
        {"learning_rate": -0.1},
        {"weight_decay": -1},
        {"adam_beta1": 2},
        {"adam_beta2": 1.0},
        {"adam_epsilon": 0},
        {"max_grad_norm": -1.0},
        {"num_train_epochs": 0},
        {"num_train_epochs": "3"},
        {"max_steps": 0},
        {"max_steps": -7},
        {"warmup_ratio": 1.5},
        {"warmup_steps": 1.5},
        {"warmup_steps": "10%"},
        {"logging_steps": -1},
        {"save_steps": 0},
        {"eval_steps": 2.5},
        {"eval_accumulation_steps": 0},
        {"save_total_limit": 0},
        {"data_seed": -1},
        {"data_seed": 2**64},
        {"seed": 1.0},
        {"dataloader_num_workers": -1},
        {"dataloader_num_workers": 1000},
        {"dataloader_prefetch_factor": 0},
        {"neftune_noise_alpha": -5},
        {"log_level": "loud"},
        {"lr_scheduler_type": "sideways"},
        {"optim": "adamw_hf"},
        {"save_strategy": "best"},
        {"save_strategy": True},
        {"train_sampling_strategy": "sequential"},
        {"include_num_input_tokens_seen": "x"},
        {"gradient_checkpointing_kwargs": {"x": 1}},
        {"bf16": "yes"},
        {"disable_tqdm": 1},
        {"report_to": 3},
        {"run_name": ""},
        {"logging_dir": "$HOME/logs"},
    ],
    ids=str,
)
def test_a_value_out_of_range_is_refused_by_its_key(settings: dict[str, Any]) -> None:
    (key,) = settings
    message = refused(settings)
    assert (message.startswith(f"training.{key}") and "cannot be used" in message) or "unknown key" in message


@pytest.mark.parametrize(
    "settings",
    [
        {"learning_rate": 1},
        {"max_steps": -1},
        {"warmup_steps": 0.5},
        {"warmup_steps": 3.0},
        {"eval_strategy": False, "save_strategy": "no"},
        {"logging_steps": 0.1},
        {"save_total_limit": None},
        {"lr_scheduler_kwargs": {"num_cycles": 2}},
        {"gradient_checkpointing_kwargs": {"use_reentrant": True}},
        {"activation_checkpointing": True, "train_sampling_strategy": "random"},
        {"group_by_length": False, "warmup_ratio": 0.1},
        {"fsdp": True, "fsdp_config": {"version": 2}},
        {"report_to": ["none"], "hub_token": "secret"},
        {"seed": 2**32 - 1, "debug": "", "save_only_model": False},
        dict(DEFAULTS),
    ],
    ids=str,
)
def test_a_value_that_works_is_taken_by_either_release(settings: dict[str, Any]) -> None:
    check_training(settings)


def test_defaults_of_the_release_are_in_range() -> None:
    """What a user writes out although it is the default is nobody's mistake."""
    fine = {key: value for key, value in DEFAULT_VALUES.items() if key not in OWNED and value is not None}
    fine = {key: value for key, value in fine.items() if value != "" and not inspect.isclass(value)}
    for key, value in fine.items():
        check_training({key: getattr(value, "value", value)})
