"""What plug-ins register: each thing is compared with its base class, here and nowhere else."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from minidisc_plugin.errors import PluginError
from minidisc_plugin.names import is_plain, stays_inside
from minidisc_plugin.plugins.foreign import calling
from minidisc_plugin.printable import shown

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from minidisc_plugin.nested.family import Family
    from minidisc_plugin.schedulers.base import Scheduler
    from minidisc_plugin.steps import Step
    from minidisc_plugin.training.objectives import Objective

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
        base: Gives the class to derive from; for families, to make one of.
        classes: Whether classes are registered, and not objects.
        further: Yields what else is wrong with one.
    """

    noun: Noun
    hook: str
    key: str
    base: Callable[[], type]
    classes: bool
    further: Callable[[Any], Iterator[str]]

    def faults(self, item: Any) -> Iterator[str]:
        """What is wrong with something registered; nothing where it can be used."""
        base = self.base()
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


def _scheduler() -> type[Scheduler]:
    from minidisc_plugin.schedulers.base import Scheduler

    return Scheduler


def _family() -> type[Family]:
    from minidisc_plugin.nested.family import Family

    return Family


def _objective() -> type[Objective]:
    from minidisc_plugin.training.objectives import Objective

    return Objective


def _step() -> type[Step]:
    from minidisc_plugin.steps import Step

    return Step


def _scheduler_faults(item: type[Scheduler]) -> Iterator[str]:
    for key, field in _scheduler().model_fields.items():
        own = item.model_fields.get(key)
        if own is None or own.annotation != field.annotation or own.alias != field.alias:
            yield f"it changes the field {key!r}, which every scheduler has"
    for method in ("candidate_scales", "stages", "run"):
        if not inspect.isfunction(getattr(item, method, None)):
            yield f"{method} is no method"


def _family_faults(item: Family) -> Iterator[str]:
    from pydantic import ValidationError

    try:
        plain = {field.name: getattr(item, field.name) for field in fields(_family())}
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
    from pydantic import TypeAdapter

    return TypeAdapter(_family())


def _places(layout: Any) -> dict[str, Any]:
    return {name: [vars(place) for place in getattr(layout, name)] for name in ("heads", "neurons")}


def _objective_faults(item: type[Objective]) -> Iterator[str]:
    needs: Any = item.needs_hidden_states
    if not isinstance(needs, bool):
        yield f"needs_hidden_states is {shown(needs)}, and has to be True or False"


def _step_faults(item: type[Step]) -> Iterator[str]:
    from minidisc_plugin.builtins import minidisc_register_steps
    from minidisc_plugin.run_directory import is_reserved

    writes: Any = item.writes
    if not isinstance(writes, Mapping):
        yield f"writes is {shown(writes)}, and has to be names with what each is"
        return
    others = {_top(name) for step in minidisc_register_steps() if step is not item for name in step.writes}
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
        Kind("scheduler", "minidisc_register_schedulers", "name", _scheduler, True, _scheduler_faults),
        Kind("family", "minidisc_register_families", "model_type", _family, False, _family_faults),
        Kind("objective", "minidisc_register_objectives", "name", _objective, True, _objective_faults),
        Kind("step", "minidisc_register_steps", "name", _step, True, _step_faults),
    )
}
