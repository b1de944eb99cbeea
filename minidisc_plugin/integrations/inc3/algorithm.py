"""The algorithm `minidisc` of Neural Compressor: a teacher comes in, its finished student goes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neural_compressor.common.utils import Mode
from neural_compressor.torch.utils import register_algo
from transformers import PreTrainedModel

from minidisc_plugin.foundation.errors import ConfigError, UnsupportedModelError
from minidisc_plugin.foundation.printable import shown
from minidisc_plugin.integrations.inc3.config import NAME, MiniDiscConfig
from minidisc_plugin.integrations.inc3.students import students_of
from minidisc_plugin.integrations.inc3.trial import Trial

# What `prepare` writes on a model, and what would make later calls take the student for one that is half done.
_MARKS = ("is_prepared", "quant_config", "example_inputs")


@register_algo(NAME)  # type: ignore[untyped-decorator]
def run_schedule(
    model: PreTrainedModel,
    configs_mapping: Mapping[tuple[str, str], Any],
    *args: Any,
    mode: Mode,
    run_fn: Any = None,
    run_args: Any = None,
    **kwargs: Any,
) -> PreTrainedModel:
    """What `quantize`, `prepare` and `convert` call: the student, distilled from the assistant that was chosen.

    Args:
        model: The teacher, whose weights are left as they are; for `convert`, the student of `prepare`.
        configs_mapping: Has the MiniDiscConfig.
        *args: Nothing.
        mode: Which of the functions calls.
        run_fn: None: a schedule runs the model itself.
        run_args: The Trial, where the config has none.
        **kwargs: `example_inputs`, which a schedule does not need.

    Raises:
        MinidiscError: the data, a setting, the metric or the model cannot be used.
    """
    if mode == Mode.CONVERT:
        return _prepared(model)
    if not isinstance(model, PreTrainedModel):
        raise UnsupportedModelError(
            f"model: {type(model).__name__} is no model of transformers; give the teacher itself"
        )
    config = next(config for config in configs_mapping.values() if isinstance(config, MiniDiscConfig))
    if run_fn is not None:
        raise ConfigError(f"run_fn: {shown(run_fn)} is for calibration, and a schedule trains by its Trial; remove it")
    trial = _trial_of(config, run_args)
    scheduler, schedulers = config.scheduler_to_run()
    return students_of(model, schedulers, trial).student(scheduler)


def _prepared(model: PreTrainedModel) -> PreTrainedModel:
    if not getattr(model, "is_prepared", False):
        raise ConfigError(f"convert: {type(model).__name__} was not prepared; call prepare(model, config) first")
    for name in _MARKS:
        vars(model).pop(name, None)
    return model


def _trial_of(config: MiniDiscConfig, run_args: Any) -> Trial:
    """The data, which has one place."""
    if run_args is not None and not isinstance(run_args, Trial):
        raise ConfigError(
            f"run_args: {shown(run_args)} is no Trial; give Trial(train_dataset=..., args=..., compute_metrics=..., "
            "metric=...)"
        )
    if config.data is not None and run_args is not None:
        raise ConfigError("run_args: the config brings its data already; give it once")
    trial: Trial | None = run_args or config.data
    if trial is None:
        raise ConfigError(
            "data: missing, and a schedule trains; give MiniDiscConfig(..., data=Trial(...)), or to quantize and "
            "autotune run_args=Trial(...)"
        )
    return trial
