"""What each key of `TrainingArguments` is worth in a config: the values it may have, or why it is refused.

Every field of transformers 4.57 and 5.23 was set to other values and a small run made with it, by both trainers. Fields
that are not named here did what they say, or ended with an error that the rehearsal before a run meets, too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_type_hints

from pydantic import AfterValidator, Field, create_model

from minidisc_plugin.contracts.validation import validate
from minidisc_plugin.contracts.values import Options, PathText, Settings
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.printable import shown

_SETS = "the pipeline sets it; remove it"
_LAUNCHER = "the launcher says so (torchrun, accelerate launch); remove it"
_UPLOADS = "a run writes into output_dir and nowhere else; remove it, and push the student when it is done"
_HALVED = "evaluations would leave the network in half precision; set bf16, or remove it"
_TASK = "the task says how predictions are made and compared; remove it"
_COMPILED = "every scale of a network would be compiled anew, which takes longer than it saves; remove it"
_SHARDING = "not supported; shard networks by training.fsdp, or remove it"
_KERNELS = "its kernels do not fit layers that are cut to size; remove it"
_DEVICES = "this program trains on CPUs and on CUDA devices; remove it"

# Refused with any value: a run would overrule it, or pass it over.
OWNED: Mapping[str, str] = {
    "output_dir": _SETS,
    "overwrite_output_dir": "the pipeline sets it; remove it, and start with --overwrite",
    "do_train": _SETS,
    "do_eval": _SETS,
    "do_predict": _SETS,
    "resume_from_checkpoint": "the pipeline sets it; remove it, and start with --resume",
    "load_best_model_at_end": "the pipeline sets it; remove it; with early_stopping_patience the best model is kept",
    "metric_for_best_model": _SETS,
    "greater_is_better": _SETS,
    "remove_unused_columns": _SETS,
    "label_names": _SETS,
    "length_column_name": _SETS,
    "restore_callback_states_from_checkpoint": _SETS,
    "local_rank": _LAUNCHER,
    "mp_parameters": _LAUNCHER,
}

# Refused with any value but that of transformers: with another a run fails half-way, is wrong, or passes it over.
REFUSED: Mapping[str, str] = {
    "push_to_hub": _UPLOADS,
    "hub_model_id": _UPLOADS,
    "hub_strategy": _UPLOADS,
    "hub_private_repo": _UPLOADS,
    "hub_always_push": _UPLOADS,
    "hub_revision": _UPLOADS,
    "push_to_hub_model_id": _UPLOADS,
    "push_to_hub_organization": _UPLOADS,
    "save_only_model": "a stage cannot go on without the optimizer's state; remove it",
    "ignore_data_skip": "a resumed stage would train the same examples twice; remove it",
    "auto_find_batch_size": "it begins again with weights that are trained in part; set per_device_train_batch_size",
    "enable_jit_checkpoint": "a stage that it stops would be taken for finished; remove it",
    "save_safetensors": "checkpoints are kept as safetensors; remove it",
    "label_smoothing_factor": "the loss is that of distillation.objective, which smooths no labels; remove it",
    "prediction_loss_only": _TASK,
    "include_inputs_for_metrics": _TASK,
    "include_for_metrics": _TASK,
    "batch_eval_metrics": _TASK,
    "eval_do_concat_batches": _TASK,
    "eval_use_gather_object": _TASK,
    "use_legacy_prediction_loop": _TASK,
    "past_index": _TASK,
    "use_cache": _TASK,
    "bf16_full_eval": _HALVED,
    "fp16_full_eval": _HALVED,
    "half_precision_backend": _DEVICES,
    "fp16_backend": _DEVICES,
    "fp16_opt_level": _DEVICES,
    "use_mps_device": _DEVICES,
    "tpu_num_cores": _DEVICES,
    "tpu_metrics_debug": _DEVICES,
    "debug": "a run stops by itself at a loss that is not finite; remove it",
    "jit_mode_eval": "not supported; the step export gives a student for a faster runtime",
    "torch_compile": _COMPILED,
    "torch_compile_backend": _COMPILED,
    "torch_compile_mode": _COMPILED,
    "torchdynamo": _COMPILED,
    "use_liger_kernel": _KERNELS,
    "liger_kernel_config": _KERNELS,
    "deepspeed": _SHARDING,
    "parallelism_config": _SHARDING,
    "accelerator_config": _SHARDING,
    "fsdp_min_num_params": "write it into training.fsdp_config",
    "fsdp_transformer_layer_cls_to_wrap": "write it into training.fsdp_config",
    "average_tokens_across_devices": "losses are means over a batch, however many tokens it has; remove it",
    "ray_scope": "no hyperparameters are searched for; remove it",
    "adafactor": "write training.optim: adafactor",
    "per_gpu_train_batch_size": "write training.per_device_train_batch_size",
    "per_gpu_eval_batch_size": "write training.per_device_eval_batch_size",
}


def _share_or_whole(value: float) -> float:
    if value > 1 and value != int(value):
        raise ValueError("give a whole number, or a share of all steps below 1")
    return value


def _no_steps_at_all(value: int) -> int:
    if value < -1 or value == 0:
        raise ValueError("give a number above 0, or -1 for as many as num_train_epochs says")
    return value


def _not_the_best(value: str) -> str:
    if value == "best":
        raise ValueError("a stage keeps its best weights by itself, with early_stopping_patience; set epoch or steps")
    return value


def _state_in_checkpoints(value: str) -> str:
    if value.endswith(("_layerwise", "lomo")):
        raise ValueError("a checkpoint does not hold its state; give another, such as adamw_torch")
    return value


class _Checkpointing(Settings):
    """Of `torch.utils.checkpoint`, what can be written down."""

    use_reentrant: bool = False
    preserve_rng_state: bool = True
    determinism_check: str = "default"
    debug: bool = False
    early_stop: bool = True


_Positive = Annotated[float, Field(gt=0)]
_NotNegative = Annotated[float, Field(ge=0)]
_Beta = Annotated[float, Field(ge=0, lt=1)]
_Count = Annotated[int, Field(ge=1)]
_Seed = Annotated[int, Field(ge=0)]
_Steps = Annotated[float, Field(gt=0), AfterValidator(_share_or_whole)]
_Level = Literal["debug", "info", "warning", "error", "critical", "detail", "passive"]

# What transformers takes as it comes, and fails on, or trains nonsense with, once training has begun.
_VALUES: Mapping[str, Any] = {
    "per_device_train_batch_size": _Count,
    "per_device_eval_batch_size": _Count,
    "gradient_accumulation_steps": _Count,
    "eval_accumulation_steps": _Count | None,
    "torch_empty_cache_steps": _Count | None,
    "eval_delay": _NotNegative,
    "learning_rate": _Positive,
    "weight_decay": _NotNegative,
    "adam_beta1": _Beta,
    "adam_beta2": _Beta,
    "adam_epsilon": _Positive,
    "max_grad_norm": _NotNegative,
    "num_train_epochs": _Positive,
    "max_steps": Annotated[int, AfterValidator(_no_steps_at_all)],
    "logging_steps": _Steps,
    "save_steps": _Steps,
    "eval_steps": _Steps | None,
    "save_total_limit": _Count | None,
    "seed": _Seed,
    "data_seed": _Seed | None,
    "dataloader_num_workers": Annotated[int, Field(ge=0, le=256)],
    "dataloader_prefetch_factor": _Count | None,
    "neftune_noise_alpha": _Positive | None,
    "ddp_timeout": _Count,
    "ddp_bucket_cap_mb": _Count | None,
    "log_level": _Level,
    "log_level_replica": _Level,
    "logging_dir": PathText | None,
    "include_num_input_tokens_seen": bool | Literal["all", "non_padding", "no"],
    "lr_scheduler_kwargs": Options | str | None,
    "gradient_checkpointing_kwargs": _Checkpointing | None,
    "activation_checkpointing_kwargs": _Checkpointing | None,
    # Either release's name means the same on both; of the ways to sample, batches of our own know two.
    "gradient_checkpointing": bool,
    "activation_checkpointing": bool,
    "warmup_ratio": Annotated[float, Field(ge=0, le=1)],
    "warmup_steps": Annotated[float, Field(ge=0), AfterValidator(_share_or_whole)],
    "group_by_length": bool,
    "train_sampling_strategy": Literal["random", "group_by_length"],
    # With words of either release, and the switch that the newer one takes; see with_sharding.
    "fsdp": bool | str | None,
    "fsdp_config": Options | None,
}


def check_training(settings: Mapping[str, Any]) -> None:
    """Refuse what the section `training` cannot hold; nothing is imported that a model needs.

    Raises:
        ConfigError: a key that is not known, that the pipeline sets or that does not work, or a value that cannot be
            used; one line.
    """
    defaults = _defaults()
    for key, value in settings.items():
        if key in OWNED:
            raise ConfigError(f"training.{key}: {OWNED[key]}")
        if key in REFUSED and not (key in defaults and _same(value, defaults[key])):
            raise ConfigError(f"training.{key}: {shown(value)} cannot be used: {REFUSED[key]}")
    validate(_model(), {key: value for key, value in settings.items() if key not in REFUSED}, prefix="training.")


def _same(value: object, default: object) -> bool:
    """Whether a value is the default; `false` is none where the default is the number 0."""
    return value == default and isinstance(value, bool) == isinstance(default, bool)


@cache
def _defaults() -> dict[str, Any]:
    """The value of each field of the installed release, where the user sets none."""
    from transformers import TrainingArguments

    return {
        field.name: field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        for field in dataclasses.fields(TrainingArguments)
        if field.init
    }


@cache
def _model() -> type[Settings]:
    """The section `training` as a type: the fields of the installed release, but for those that are refused."""
    from transformers import TrainingArguments

    known = _defaults().keys() - OWNED.keys() - REFUSED.keys()
    types = {name: _words(kind) for name, kind in get_type_hints(TrainingArguments).items() if name in known}
    left_out = Field(default=None, validate_default=False)
    fields: dict[str, Any] = {name: (kind, left_out) for name, kind in {**types, **_VALUES}.items()}
    for name in ("eval_strategy", "save_strategy", "logging_strategy"):
        fields[name] = (types[name] | Literal[False], left_out)  # what YAML makes of `no`
    for name, check in (("save_strategy", _not_the_best), ("optim", _state_in_checkpoints)):
        kind = fields[name][0]
        fields[name] = (Annotated[kind, AfterValidator(check)], left_out)
    return create_model("Training", __base__=Settings, **fields)


def _words(annotation: Any) -> Any:
    """The type of a field; where transformers has an enumeration, its words."""
    for kind in get_args(annotation):
        if isinstance(kind, type) and issubclass(kind, Enum):
            return Literal[tuple(str(member.value) for member in kind)]
    return annotation
