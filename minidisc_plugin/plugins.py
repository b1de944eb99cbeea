"""The one plug-in manager: built-ins, entry points, and who registered what."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy

from minidisc_plugin import hookspecs
from minidisc_plugin.errors import ConfigError, PluginError

if TYPE_CHECKING:
    from minidisc_plugin.nested.family import Family
    from minidisc_plugin.schedulers.base import Scheduler
    from minidisc_plugin.steps import Step
    from minidisc_plugin.training.objectives import Objective

ENTRY_POINT_GROUP = "optimum.compression.schedulers"


T = TypeVar("T")


@dataclass(frozen=True)
class FoundPlugin:
    """One entry point of the group, as `minidisc plugins` lists it.

    Attributes:
        name: Name of the entry point.
        distribution: Name and version of the distribution that declares it.
        schedulers: Names of the schedulers it registers.
        error: Why it could not be loaded, in one line; None where it was.
    """

    name: str
    distribution: str
    schedulers: tuple[str, ...]
    error: str | None


class PluginHost:
    """A pluggy manager with the built-ins and every entry point that loads; a broken one is recorded, not raised."""

    def __init__(self, group: str = ENTRY_POINT_GROUP) -> None:
        from minidisc_plugin import builtins

        self.manager = pluggy.PluginManager(hookspecs.PROJECT)
        self.manager.add_hookspecs(hookspecs)
        self.manager.register(builtins, "minidisc-plugin built-ins")
        self._errors: dict[str, str] = {}
        self._distributions = _distributions_by_entry_point(group)
        for name, distributions in self._distributions.items():
            if len(distributions) > 1:
                self._errors[name] = f"the name is claimed by {' and '.join(distributions)}; uninstall one"
                continue
            try:
                self.manager.load_setuptools_entrypoints(group, name)
                self._check_hooks(name)
            except Exception as error:  # whatever a third party's import raises must not stop the others
                self._errors[name] = _one_line(error)

    def found(self) -> list[FoundPlugin]:
        """Every entry point of the group, sorted by name, with its schedulers or its error."""
        registered = list(self._registered("minidisc_register_schedulers", "name"))
        rows = []
        for name, distributions in sorted(self._distributions.items()):
            plugin = self.manager.get_plugin(name)
            schedulers = tuple(cls.name for found, cls in registered if found is plugin)
            rows.append(FoundPlugin(name, " and ".join(distributions), schedulers, self._errors.get(name)))
        return rows

    def schedulers(self) -> dict[str, type[Scheduler]]:
        """Scheduler classes by name."""
        return self._by_name("minidisc_register_schedulers", "scheduler", "name")

    def families(self) -> dict[str, Family]:
        """Model families by model type."""
        return self._by_name("minidisc_register_families", "family", "model_type")

    def objectives(self) -> dict[str, type[Objective]]:
        """Distillation objectives by name."""
        return self._by_name("minidisc_register_objectives", "objective", "name")

    def steps(self) -> dict[str, type[Step]]:
        """Pipeline steps by name."""
        return self._by_name("minidisc_register_steps", "step", "name")

    def error_of(self, name: str) -> str | None:
        """Why the entry point `name` could not be loaded, if it could not."""
        return self._errors.get(name)

    def owner_of(self, plugin: object) -> str:
        """Name and version of the distribution that brought a plug-in, or the plug-in's own name."""
        for candidate, distribution in self.manager.list_plugin_distinfo():
            if candidate is plugin:
                return f"{distribution.metadata['name']} {distribution.version}"
        return self.manager.get_name(plugin) or repr(plugin)

    def _by_name(self, hook: str, kind: str, key: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        owners: dict[str, str] = {}
        for plugin, item in self._registered(hook, key):
            name, owner = getattr(item, key), self.owner_of(plugin)
            if name in found:
                raise PluginError(f"{kind} {name!r} is registered by {owners[name]} and by {owner}; uninstall one")
            found[name], owners[name] = item, owner
        return found

    def _check_hooks(self, name: str) -> None:
        """Refuse a plug-in with a misspelt hook, which would never be called."""
        for caller in self.manager.get_hookcallers(self.manager.get_plugin(name)) or []:
            if not caller.has_spec() and not all(found.optionalhook for found in caller.get_hookimpls()):
                raise PluginError(f"{caller.name} is not a hook of minidisc-plugin")

    def _registered(self, hook: str, key: str) -> Iterator[tuple[object, Any]]:
        """Pairs of a plug-in and one thing that it registers; a plug-in that fails to is recorded and passed over."""
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            try:
                items = list(implementation.function())
            except Exception as error:  # a third party's, as on loading
                self._errors[implementation.plugin_name] = _one_line(error)
                continue
            for item in items:
                if isinstance(getattr(item, key, None), str):
                    yield implementation.plugin, item
                else:
                    self._errors[implementation.plugin_name] = f"{hook} returned {item!r}, which has no {key!r}"


@functools.lru_cache(maxsize=1)
def host() -> PluginHost:
    """The plug-in host of this process, made on first use."""
    return PluginHost()


def families() -> dict[str, Family]:
    """Model families by model type."""
    return host().families()


def pick(found: dict[str, T], name: str, key: str) -> T:
    """The entry of `found` called `name`.

    Raises:
        ConfigError: there is none; names the key, those found, and the plug-in's error where it is a broken one.
    """
    if name in found:
        return found[name]
    error = host().error_of(name)
    why = f"its plug-in could not be loaded ({error})" if error else f"found: {', '.join(sorted(found))}"
    raise ConfigError(f"{key}: {name!r} is not known; {why}")


def _distributions_by_entry_point(group: str) -> dict[str, tuple[str, ...]]:
    claims: defaultdict[str, list[str]] = defaultdict(list)
    for entry_point in metadata.entry_points(group=group):
        distribution = entry_point.dist
        label = f"{distribution.metadata['Name']} {distribution.version}" if distribution else "an unknown distribution"
        if label not in claims[entry_point.name]:
            claims[entry_point.name].append(label)
    return {name: tuple(labels) for name, labels in claims.items()}


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def event(name: str, **arguments: Any) -> Iterable[Any]:
    """Call an event hook, such as `minidisc_stage_finished`, on every plug-in."""
    return getattr(host().manager.hook, name)(**arguments)  # type: ignore[no-any-return]
