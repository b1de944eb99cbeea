"""What plug-ins register: each thing is compared with its base class, here and nowhere else."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Any, Generic, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from minidisc_plugin.contracts.family import Family
from minidisc_plugin.contracts.objective import Objective
from minidisc_plugin.contracts.output import is_reserved
from minidisc_plugin.contracts.run import Step
from minidisc_plugin.contracts.scheduler import Scheduler
from minidisc_plugin.contracts.values import Settings
from minidisc_plugin.foundation.errors import PluginError
from minidisc_plugin.foundation.names import is_plain, stays_inside
from minidisc_plugin.foundation.printable import shown
from minidisc_plugin.plugins.deferred import puts_off
from minidisc_plugin.plugins.foreign import calling

# What this package registers itself; it stands above the method, and so is known by name only.
SHIPPED = "minidisc_plugin.run.shipped"

Noun = Literal["scheduler", "family", "objective", "step"]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Registered(Generic[Item]):
    """Something registered, and by whom.

    Attributes:
        item: A class, or a family.
        noun: What it is.
        name: What a config may hold to mean it.
        owner: The plug-in: name and version of its distribution.
        shipped: Whether it is this package's own.
    """

    item: Item
    noun: Noun
    name: str
    owner: str
    shipped: bool

    def calling(self, doing: str, failed: type[PluginError] = PluginError) -> AbstractContextManager[None]:
        """A block in which code of the item runs; see `foreign.calling`. Our own code is not doubted."""
        if self.shipped:
            return nullcontext()
        return calling(self.owner, f"{self.noun} {self.name!r}, {doing},", failed)

    def error(self, what: str, failed: type[PluginError] = PluginError) -> PluginError:
        """The error that the item is not as it should be."""
        return failed(f"plug-in {self.owner}: {self.noun} {self.name!r}: {what}")


@dataclass(frozen=True)
class Kind:
    """One kind of things.

    Attributes:
        noun: In messages.
        hook: That registers them.
        key: The attribute that names one.
        base: The class to derive from; for families, to make one of.
        classes: Whether classes are registered, and not objects.
        further: Yields what else is wrong with one.
    """

    noun: Noun
    hook: str
    key: str
    base: type
    classes: bool
    further: Callable[[Any], Iterator[str]]

    def faults(self, item: Any) -> Iterator[str]:
        """What is wrong with something registered; nothing where it can be used."""
        base = self.base
        what = item.__qualname__ if isinstance(item, type) else shown(item)
        if self.classes and not (isinstance(item, type) and issubclass(item, base)):
            what = f"an object of {base.__name__}, not its class" if isinstance(item, base) else what
            yield f"{self.hook} returned {what}, which is no subclass of {base.__name__}"
            return
        if not self.classes and not isinstance(item, base):
            yield f"{self.hook} returned {what}, which is no {base.__name__}"
            return
        name = getattr(item, self.key, None)
        if not is_plain(name):
            yield f"{self.hook} returned {what}, which has no {self.key!r} that a config could hold: {shown(name)}"
            return
        if inspect.isabstract(item):
            yield f"{self.noun} {name!r} is abstract: it lacks {', '.join(sorted(item.__abstractmethods__))}"
            return
        for fault in self.further(item):
            yield f"{self.noun} {name!r}: {fault}"


def _faults_of_methods(item: type, *methods: str) -> Iterator[str]:
    for method in methods:
        if how := puts_off(getattr(item, method, None)):
            yield f"{method} is {how}, so nobody would run it; write a plain method"


def _scheduler_faults(item: type[Scheduler]) -> Iterator[str]:
    for key, field in Scheduler.model_fields.items():
        own = item.model_fields.get(key)
        if own is None or own.annotation != field.annotation or own.alias != field.alias:
            yield f"it changes the field {key!r}, which every scheduler has"
    for method in ("candidate_scales", "stages", "run"):
        if not inspect.isfunction(getattr(item, method, None)):
            yield f"{method} is no method"
    yield from _faults_of_methods(item, "run")  # the others may yield what they list


def _family_faults(item: Family) -> Iterator[str]:
    try:
        plain = {field.name: getattr(item, field.name) for field in fields(Family)}
        plain["layouts"] = [vars(layout) | _places(layout) for layout in plain["layouts"]]
        _family_type().validate_python(plain)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        yield f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (TypeError, AttributeError) as error:
        yield f"it is not made of layouts: {error}"
    else:
        if not item.layouts or not all(layout.heads and layout.neurons for layout in item.layouts):
            yield "it has no layout, or one without heads or without neurons"


@functools.cache
def _family_type() -> TypeAdapter[Family]:
    return TypeAdapter(Family)


def _places(layout: Any) -> dict[str, Any]:
    return {name: [vars(place) for place in getattr(layout, name)] for name in ("heads", "neurons")}


# What an objective may read of a batch beside what every one does.
READS = ("reads_examples", "reads_domains", "reads_progress")


def _objective_faults(item: type[Objective]) -> Iterator[str]:
    for name in ("needs_hidden_states", "needs_second_derivatives", "needs_attentions", *READS):
        needs: Any = getattr(item, name)
        if not isinstance(needs, bool):
            yield f"{name} is {shown(needs)}, and has to be True or False"
    for name, plain in (("observes", tuple), ("tasks", frozenset)):
        listed: Any = getattr(item, name)
        if listed is not None and not (isinstance(listed, plain) and all(isinstance(one, str) for one in listed)):
            yield f"{name} is {shown(listed)}, and has to be a {plain.__name__} of names"
    own: Any = item.own_settings
    if own is not None and not (isinstance(own, type) and issubclass(own, Settings)):
        yield f"own_settings is {shown(own)}, and has to be a subclass of Settings"
    yield from _faults_of_methods(item, "__call__", "make_network", "observe", "loss_before")


def _step_faults(item: type[Step]) -> Iterator[str]:
    yield from _faults_of_methods(item, "check", "run")
    writes: Any = item.writes
    if not isinstance(writes, Mapping):
        yield f"writes is {shown(writes)}, and has to be names with what each is"
        return
    shipped = import_module(SHIPPED).minidisc_register_steps()
    others = {_top(name) for step in shipped if step is not item for name in step.writes}
    for name, content in writes.items():
        if not stays_inside(name):
            yield f"writes has {shown(name)}, which is no path inside the output directory"
        elif is_reserved(_top(name)) or _top(name) in others:
            yield f"writes has {shown(name)}, which is minidisc-plugin's own"
        elif not isinstance(content, str):
            yield f"writes says {shown(content)} of {shown(name)}, and has to say in words what it is"


def _top(name: str) -> str:
    return name.partition("/")[0]


KINDS: dict[Noun, Kind] = {
    kind.noun: kind
    for kind in (
        Kind("scheduler", "minidisc_register_schedulers", "name", Scheduler, True, _scheduler_faults),
        Kind("family", "minidisc_register_families", "model_type", Family, False, _family_faults),
        Kind("objective", "minidisc_register_objectives", "name", Objective, True, _objective_faults),
        Kind("step", "minidisc_register_steps", "name", Step, True, _step_faults),
    )
}
