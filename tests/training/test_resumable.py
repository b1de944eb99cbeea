"""Settings that no resumed run can honour: refused in a config, set right in the stages of a script."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainingArguments

from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.training.arguments import training_arguments
from minidisc_plugin.training.resumable import make_resumable

KNOWN = {field.name for field in dataclasses.fields(TrainingArguments)}
REFUSED = {
    "save_only_model": (True, "optimizer's state"),
    "ignore_data_skip": (True, "twice"),
    "save_strategy": ("best", "set epoch or steps"),
    "auto_find_batch_size": (True, "set per_device_train_batch_size"),
    "enable_jit_checkpoint": (True, "taken for finished"),
    "save_safetensors": (False, "remove it"),
    "optim": ("galore_adamw_layerwise", "adamw_torch"),
}


@pytest.mark.parametrize("key", [key for key in REFUSED if key in KNOWN])
@pytest.mark.parametrize("patience", [None, 2])
def test_a_setting_that_a_resumed_run_cannot_honour_is_refused(key: str, patience: int | None, tmp_path: Path) -> None:
    value, remedy = REFUSED[key]
    with pytest.raises(ConfigError) as caught:
        training_arguments({"use_cpu": True, key: value}, tmp_path, patience, "accuracy")
    message = str(caught.value)
    assert message.startswith(f"training.{key}: {value!r} cannot be used: ") and remedy in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "settings",
    [
        {"save_only_model": False, "ignore_data_skip": False, "auto_find_batch_size": False},
        {"save_strategy": False},
        {"save_strategy": "steps", "optim": "sgd"},
    ],
    ids=str,
)
def test_its_opposite_is_taken(settings: dict[str, Any], tmp_path: Path) -> None:
    training_arguments({"use_cpu": True, **settings}, tmp_path)


@pytest.mark.parametrize("eval_strategy", ["no", "epoch"])
def test_a_scripts_stages_save_what_they_need(eval_strategy: str, tmp_path: Path) -> None:
    args = TrainingArguments(
        str(tmp_path),
        save_only_model=True,
        ignore_data_skip=True,
        save_strategy="best",
        eval_strategy=eval_strategy,
        use_cpu=True,
        report_to=[],
    )
    make_resumable(args)
    assert not args.save_only_model and not args.ignore_data_skip and args.save_total_limit is None
    assert args.save_strategy == args.eval_strategy == eval_strategy
