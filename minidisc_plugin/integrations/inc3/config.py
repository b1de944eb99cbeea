"""The config of the algorithm `minidisc`, as Neural Compressor makes, expands, writes and reads configs."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from neural_compressor.common.base_config import register_config
from neural_compressor.common.utils import DEFAULT_WHITE_LIST
from neural_compressor.torch.quantization.config import FRAMEWORK_NAME, TorchBaseConfig

from minidisc_plugin.contracts.scheduler import Scheduler
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.printable import shown
from minidisc_plugin.integrations.inc3.schedulers import SPARSITY, explained, normal, schedulers_for, sparsities_of
from minidisc_plugin.integrations.inc3.trial import Trial
from minidisc_plugin.schedulers.minidisc import MiniDisc

NAME = "minidisc"
_FILES = "a config of this algorithm is of the whole model"
# Tried by `autotune` with every config that there is; ours needs data, which that set has not.
_OFFERED = (0.95, 0.9, 0.8, 0.5)
# What Neural Compressor itself writes on configs.
_OF_THE_HOST = ("global_config", "local_config", "model_path")


@register_config(framework_name=FRAMEWORK_NAME, algo_name=NAME)
class MiniDiscConfig(TorchBaseConfig):  # type: ignore[misc]
    """One student, or several for `autotune`, made by a scheduler of this package; it never changes.

    Args:
        target_sparsity: Share of heads and neurons that the student loses, in (0, 1); a list is several students, which
            `autotune` tries from the smallest up.
        scheduler: A name that `scheduler:` of a compression config may have.
        data: What the schedule trains on, where it does not come as `run_args`; no JSON holds it.
        white_list: Neural Compressor's; a student is of the whole model, so nothing but the default.
        **settings: Of the scheduler, as `scheduler_config` has them (`lam` is `lambda`). Where there are several
            students, a candidate serves those that are smaller than it.

    Raises:
        ConfigError: a setting is unknown or cannot be used, or the data is no Trial.
    """

    name = NAME
    supported_configs: list[Any] = []  # noqa: RUF012

    def __init__(
        self,
        target_sparsity: float | list[float] = 0.9,
        scheduler: str = NAME,
        data: Trial | None = None,
        white_list: Any = DEFAULT_WHITE_LIST,
        **settings: Any,
    ) -> None:
        if white_list is not None and white_list != DEFAULT_WHITE_LIST:
            raise ConfigError(f"white_list: {shown(white_list)} cannot be used: {_FILES}; remove it")
        if data is not None and not isinstance(data, Trial):
            raise ConfigError(f"data: {shown(data)} is no Trial; give Trial(train_dataset=..., args=..., ...)")
        super().__init__()
        self.target_sparsity = copy.deepcopy(target_sparsity)
        self.scheduler = scheduler
        self.data = data
        self.settings = copy.deepcopy(normal(scheduler, settings))
        self.params_list = [SPARSITY, "scheduler", "settings", "data"]
        self._schedulers = schedulers_for(scheduler, self.settings, sparsities_of(target_sparsity))
        self._siblings: list[MiniDiscConfig] = [self]
        self._offered = False
        self._tried = False
        self._made_with = copy.deepcopy({SPARSITY: self.target_sparsity, "settings": self.settings})

    def __setattr__(self, name: str, value: object) -> None:
        if "_made_with" in vars(self) and not name.startswith("_") and name not in _OF_THE_HOST:
            raise _too_late(name, value)
        super().__setattr__(name, value)

    def scheduler_to_run(self) -> tuple[Scheduler, list[Scheduler]]:
        """The scheduler of this config's student, and those of all that one `autotune` tries with it.

        Raises:
            ConfigError: the config has several students, `autotune` would try a smaller one after it, or a list or a
                dictionary in it was changed.
        """
        self._refuse_changes()
        if len(self._schedulers) > 1:
            raise ConfigError(
                f"target_sparsity: {shown(self.target_sparsity)} is for autotune, which tries several; give one"
            )
        place = next(place for place, config in enumerate(self._siblings) if config is self)
        scheduler = self._own()
        if self.data is not None:  # what is expanded from now on is for another autotune
            for key in [key for key, configs in self.data.announced.items() if configs is self._siblings]:
                del self.data.announced[key]
        for later in self._siblings[place + 1 :]:
            if later._own().target_sparsity > scheduler.target_sparsity:
                raise ConfigError(
                    f"config_set: {later.target_sparsity:g} comes after {self.target_sparsity:g}, and autotune takes "
                    "the first that is good enough; put the largest sparsity first, or give one config with a list"
                )
        return scheduler, [config._own() for config in self._siblings]

    def expand(self) -> list[MiniDiscConfig]:
        """One config a student, the smallest student first: `autotune` takes the first that loses little enough.

        Raises:
            ConfigError: a list or a dictionary in the config was changed.
        """
        self._refuse_changes()
        if self._offered and self.data is None:
            return []
        made = []
        siblings = self._announced()
        for sparsity, scheduler in self._schedulers.items():
            settings = dict(self.settings)
            if settings.get("candidates") is not None:
                settings["candidates"] = list(scheduler.candidate_scales())
            made.append(type(self)(sparsity, self.scheduler, self.data, **settings))
            made[-1]._siblings = siblings
            made[-1]._tried = True
        siblings.extend(made)
        return made

    def to_dict(self) -> dict[str, Any]:
        """All settings, without the data."""
        first = next(iter(self._schedulers.values()))
        return {
            **first.model_dump(mode="json", by_alias=True),
            **self.settings,
            SPARSITY: self.target_sparsity,
            "scheduler": self.scheduler,
        }

    @classmethod
    def from_dict(cls, config_dict: Mapping[str, Any]) -> MiniDiscConfig:
        """The config that `to_dict` gave, without data.

        Raises:
            ConfigError: a key is unknown, or is none of the whole model's.
        """
        config: dict[str, Any] = dict(config_dict)
        if "data" in config:
            raise ConfigError("data: a dictionary holds none; give run_args=Trial(...)")
        if "local" in config:
            raise ConfigError(f"local: {shown(config['local'])} cannot be used: {_FILES}; remove it")
        return cls(**config.get("global", config))

    @classmethod
    def from_json_file(cls, filename: str) -> MiniDiscConfig:
        """The config in a file that `to_json_file` wrote."""
        return cls.from_dict(json.loads(Path(filename).read_text(encoding="utf-8")))

    @staticmethod
    def get_model_info(model: Any, example_inputs: Any = None) -> list[tuple[str, str]]:
        """The model itself, in place of its layers."""
        return [("", type(model).__name__)]

    def to_config_mapping(
        self, config_list: Any = None, model_info: list[tuple[str, str]] | None = None
    ) -> dict[tuple[str, str], MiniDiscConfig]:
        """This config, for the model itself."""
        return dict.fromkeys(model_info or [("", "")], self)

    @classmethod
    def register_supported_configs(cls) -> None:
        """Nothing: it knows no operators."""

    @classmethod
    def get_config_set_for_tuning(cls) -> MiniDiscConfig:
        """Four students; without data, for `get_all_config_set`, none is tried."""
        config = cls(list(_OFFERED))
        config._offered = True
        return config

    def set_local(self, operator_name_or_list: Any, config: Any) -> NoReturn:
        """Refused.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"set_local: {shown(operator_name_or_list)} cannot be used: {_FILES}; remove it")

    def __eq__(self, other: object) -> bool:
        """As Neural Compressor's, but one that `autotune` tries equals itself alone: it passes over equal ones.

        It waits for as many results as it has configs, and returns None where it passed over one.
        """
        if self._tried or (isinstance(other, MiniDiscConfig) and other._tried):
            return self is other
        return bool(super().__eq__(other))

    __hash__ = None  # type: ignore[assignment]  # as Neural Compressor's

    def __add__(self, other: Any) -> NoReturn:
        raise _sum_refused(other)

    def _get_op_name_op_type_config(self) -> NoReturn:
        """What a sum asks of its parts, and nothing else; the other part may have been asked to add."""
        raise _sum_refused(None)

    def _refuse_changes(self) -> None:
        """Schedulers were made of what was given: a list that is changed in place would show what does not run."""
        for name, value in self._made_with.items():
            if getattr(self, name) != value:
                raise _too_late(name, getattr(self, name))

    def _announced(self) -> list[MiniDiscConfig]:
        """Those that the same autotune will try before; known where they have the data in common, and no list."""
        if self.data is None:
            return []
        common = {name: value for name, value in self.settings.items() if name != "candidates"}
        key = json.dumps([self.scheduler, common], sort_keys=True, default=str)
        found: list[MiniDiscConfig] = self.data.announced.setdefault(key, [])
        if any(config._own().target_sparsity in self._schedulers for config in found):
            found = self.data.announced[key] = []  # of a call that did not come so far, or with other candidates
        return found

    def _own(self) -> Scheduler:
        return next(iter(self._schedulers.values()))


def _too_late(name: str, value: object) -> ConfigError:
    return ConfigError(f"MiniDiscConfig.{name}: {shown(value)} comes too late; make another MiniDiscConfig")


def _sum_refused(other: Any) -> ConfigError:
    # Of a dictionary with several entries Neural Compressor adds the first to itself.
    is_known = other is not None and not isinstance(other, MiniDiscConfig)
    second = type(other).__name__ if is_known else "OtherConfig"
    return ConfigError(
        f"MiniDiscConfig + {second}, or a dictionary of both: Neural Compressor would not run both; make two calls, "
        f"student = quantize(teacher, MiniDiscConfig(...), run_args=trial) and then quantize(student, {second}(...))"
    )


if MiniDiscConfig.__doc__:  # not with python -OO
    MiniDiscConfig.__doc__ += explained(MiniDisc)
