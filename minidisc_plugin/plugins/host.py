"""The one plug-in host: built-ins, entry points, and who registered what."""

from __future__ import annotations

import functools
import itertools
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pluggy

from minidisc_plugin.contracts import hookspecs
from minidisc_plugin.foundation.errors import ConfigError, PluginError
from minidisc_plugin.plugins.deferred import is_async
from minidisc_plugin.plugins.entries import Entry, entries_of
from minidisc_plugin.plugins.foreign import Caught
from minidisc_plugin.plugins.kinds import KINDS, SHIPPED, Kind, Noun, Registered

if TYPE_CHECKING:
    from minidisc_plugin.contracts.family import Family
    from minidisc_plugin.contracts.objective import Objective
    from minidisc_plugin.contracts.run import Step
    from minidisc_plugin.contracts.scheduler import Scheduler

ENTRY_POINT_GROUP = "optimum.compression.schedulers"
_BUILT_IN = "minidisc-plugin"
_MOST = 1000  # things of one plug-in
_ERRORS_SHOWN = 3


@dataclass(frozen=True)
class FoundPlugin:
    """One entry point of the group, as `minidisc plugins` lists it.

    Attributes:
        name: Name of the entry point.
        distribution: Name and version of the distribution that declares it.
        schedulers: Names of the schedulers it registers.
        error: Why it, or something that it registers, cannot be used, in one line; None where all can.
    """

    name: str
    distribution: str
    schedulers: tuple[str, ...]
    error: str | None


class PluginHost:
    """A pluggy manager with the built-ins and every entry point that loads; a broken one is recorded, not raised."""

    def __init__(self, group: str = ENTRY_POINT_GROUP, *, load: bool = True) -> None:
        self.manager = pluggy.PluginManager(hookspecs.PROJECT)
        self.manager.add_hookspecs(hookspecs)
        self.manager.register(import_module(SHIPPED), _BUILT_IN)
        self._asking = False
        # Of plug-ins that a script registered, and what is wrong with each.
        self._errors: defaultdict[str, list[str]] = defaultdict(list)
        self._entries: list[Entry] = []
        self._group: str | None = group
        if load:
            self.load()

    def load(self) -> None:
        """Import what the entry points name; once, also where one of them asks for the host as it is imported."""
        if self._group is None:
            return
        group, self._group = self._group, None
        self._entries = entries_of(group)
        claims: defaultdict[str, list[Entry]] = defaultdict(list)
        for entry in self._entries:
            claims[entry.name].append(entry)
        for entry in self._entries:
            rivals = claims[entry.name]
            if len(rivals) > 1 and not entry.shipped:
                owners = " and ".join(rival.distribution for rival in rivals)
                entry.errors.append(f"the name is claimed by {owners}; uninstall one")
            elif entry.point is not None:
                self._load(entry)

    def found(self) -> list[FoundPlugin]:
        """Every entry point of the group, sorted by name, with its schedulers or its error."""
        names: defaultdict[str, list[str]] = defaultdict(list)
        for kind in KINDS.values():
            for plugin, registered in self._chosen(kind):
                if kind.noun == "scheduler":
                    names[plugin].append(registered.name)
        loaded = {id(entry) for entry in self._entry_by_plugin().values()}
        return [
            FoundPlugin(
                entry.name,
                entry.distribution,
                tuple(names[entry.name]) if id(entry) in loaded else (),
                _joined(entry.errors),
            )
            for entry in sorted(self._entries, key=lambda entry: (entry.name, not entry.shipped, entry.distribution))
        ]

    def schedulers(self) -> dict[str, type[Scheduler]]:
        """Scheduler classes by name."""
        return {name: found.item for name, found in self.all("scheduler").items()}

    def families(self) -> dict[str, Family]:
        """Model families by model type."""
        return {name: found.item for name, found in self.all("family").items()}

    def objectives(self) -> dict[str, type[Objective]]:
        """Distillation objectives by name."""
        return {name: found.item for name, found in self.all("objective").items()}

    def steps(self) -> dict[str, type[Step]]:
        """Pipeline steps by name."""
        return {name: found.item for name, found in self.all("step").items()}

    def all(self, noun: Noun) -> dict[str, Registered[Any]]:
        """What is registered of a kind, by name."""
        return {registered.name: registered for _, registered in self._chosen(KINDS[noun])}

    def broken(self, noun: Noun) -> dict[str, str]:
        """Owner and error, in one line, of each plug-in that is broken, by its name in the manager."""
        self.all(noun)
        found = {entry.name: (entry.distribution, entry.errors) for entry in self._entries}
        found |= {plugin: (self.owner_of(plugin), errors) for plugin, errors in self._errors.items()}
        return {name: f"{owner}: {_joined(errors)}" for name, (owner, errors) in found.items() if errors}

    def implementations(self, hook: str) -> list[Any]:
        """What plug-ins do at a hook, in the order of calls."""
        found = []
        for implementation in reversed(getattr(self.manager.hook, hook).get_hookimpls()):
            if implementation.wrapper or implementation.hookwrapper:
                self._blame(implementation.plugin_name, f"{hook} is marked as a wrapper, which no hook here has")
            else:
                found.append(implementation)
        return found

    def owner_of(self, plugin: str) -> str:
        """Name and version of the distribution that brought the plug-in of a name in the manager, or that name."""
        entry = self._entry_by_plugin().get(plugin)
        if entry is not None:
            return entry.distribution
        if not plugin.isdigit():
            return plugin
        return type(self.manager.get_plugin(plugin)).__qualname__  # an object that a script registered

    def _load(self, entry: Entry) -> None:
        with Caught(quiet=True, chance=True) as caught:
            assert entry.point is not None
            self.manager.register(entry.point.load(), entry.name)
            self._check_hooks(entry.name)
        if caught.reason:
            entry.errors.append(caught.reason)

    def _check_hooks(self, name: str) -> None:
        """Refuse a plug-in with a misspelt hook, which would never be called."""
        for caller in self.manager.get_hookcallers(self.manager.get_plugin(name)) or []:
            if not caller.has_spec() and not all(found.optionalhook for found in caller.get_hookimpls()):
                raise PluginError(f"{caller.name} is not a hook of minidisc-plugin")

    def _chosen(self, kind: Kind) -> list[tuple[str, Registered[Any]]]:
        """Name of a plug-in and one thing of it that can be used; of one name ours, or the only one."""
        claims: defaultdict[str, list[tuple[str, Registered[Any]]]] = defaultdict(list)
        for plugin, registered in self._registered(kind):
            if not any(registered.item is other.item for _, other in claims[registered.name]):
                claims[registered.name].append((plugin, registered))
        chosen = []
        for name, claimed in claims.items():
            shipped = [found for found in claimed if found[1].shipped]
            winners = shipped or (claimed if len(claimed) == 1 else [])
            chosen += winners[:1]
            if len(claimed) > 1:
                owners = " and by ".join(dict.fromkeys(found.owner for _, found in claimed))
                for plugin, _ in (found for found in claimed if found not in winners[:1]):
                    self._blame(plugin, f"{kind.noun} {name!r} is registered by {owners}; uninstall one")
        return chosen

    def _registered(self, kind: Kind) -> Iterator[tuple[str, Registered[Any]]]:
        """Name of a plug-in and one thing that it registers; what cannot be used is recorded and passed over."""
        with self._asked(kind):
            for implementation in reversed(self.implementations(kind.hook)):
                plugin = implementation.plugin_name
                if is_async(implementation.function):
                    self._blame(plugin, f"{kind.hook} is async def, so nobody would run it; write a plain function")
                    continue
                items, faults = [], []
                with Caught(quiet=True, chance=True) as caught:
                    for item in itertools.islice(implementation.function(), _MOST + 1):
                        found = list(kind.faults(item))
                        faults += found
                        if not found:
                            items.append((getattr(item, kind.key), item))
                    if len(items) + len(faults) > _MOST:
                        raise PluginError(f"{kind.hook} returns more than {_MOST} things")
                if caught.reason:
                    self._blame(plugin, caught.reason)
                    continue
                for fault in dict.fromkeys(faults):
                    self._blame(plugin, fault)
                owner, shipped = self.owner_of(plugin), self._is_shipped(plugin)
                for name, item in items:
                    yield plugin, Registered(item, kind.noun, name, owner, shipped)

    @contextmanager
    def _asked(self, kind: Kind) -> Iterator[None]:
        """Refuse a hook that asks what hooks return, which would go on for ever."""
        if self._asking:
            raise PluginError(f"a hook asked for what {kind.hook} returns; hooks may not ask the host")
        self._asking = True
        try:
            yield
        finally:
            self._asking = False

    def _blame(self, plugin: str, error: str) -> None:
        entry = self._entry_by_plugin().get(plugin)
        errors = self._errors[plugin] if entry is None else entry.errors
        if error not in errors:
            errors.append(error)

    def _is_shipped(self, plugin: str) -> bool:
        entry = self._entry_by_plugin().get(plugin)
        return plugin == _BUILT_IN if entry is None else entry.shipped

    def _entry_by_plugin(self) -> dict[str, Entry]:
        """Entries whose plug-in the manager knows, by its name there."""
        return {
            entry.name: entry for entry in reversed(self._entries) if self.manager.get_plugin(entry.name) is not None
        }


@functools.lru_cache(maxsize=1)
def _process_host() -> PluginHost:
    return PluginHost(load=False)


def host() -> PluginHost:
    """The plug-in host of this process, made on first use."""
    found = _process_host()
    found.load()
    return found


host.cache_clear = _process_host.cache_clear  # type: ignore[attr-defined]


def families() -> dict[str, Family]:
    """Model families by model type."""
    return host().families()


def pick(noun: Noun, name: str, key: str) -> Registered[Any]:
    """What is registered under a name.

    Raises:
        ConfigError: there is none; names the key, those found, and the plug-ins that may have brought it but are
            broken.
    """
    found = host().all(noun)
    if name in found:
        return found[name]
    broken = host().broken(noun)
    its = [line for plugin, line in broken.items() if plugin == name or f"{noun} {name!r}" in line]
    if its:
        raise ConfigError(f"{key}: {name!r} is not known; its plug-in could not be loaded ({'; '.join(its)})")
    others = f"plug-ins that could not be loaded: {'; '.join(broken.values())}; " if broken else ""
    raise ConfigError(f"{key}: {name!r} is not known; {others}found: {', '.join(sorted(found))}")


def _joined(errors: list[str]) -> str | None:
    more = f"; and {len(errors) - _ERRORS_SHOWN} more" if len(errors) > _ERRORS_SHOWN else ""
    return "; ".join(errors[:_ERRORS_SHOWN]) + more if errors else None
