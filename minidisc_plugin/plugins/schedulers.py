"""What schedulers answer, compared with what their protocol promises; a third party's errors are said in its name."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from minidisc_plugin.contracts.records import ScheduleRecord
from minidisc_plugin.contracts.scheduler import PlannedStage, Schedule, Scheduler
from minidisc_plugin.contracts.validation import settings_of, unknown_key, validate
from minidisc_plugin.foundation.errors import ConfigError, PluginFailedError
from minidisc_plugin.foundation.names import is_plain
from minidisc_plugin.foundation.printable import shown
from minidisc_plugin.plugins.deferred import put_off
from minidisc_plugin.plugins.host import host, pick
from minidisc_plugin.plugins.kinds import Registered

if TYPE_CHECKING:
    from minidisc_plugin.contracts.workbench import Workbench

logger = logging.getLogger(__name__)

_MOST = 1000
_ROUNDING = 1e-6


def make_scheduler(name: str, scheduler_config: Mapping[str, Any], target_sparsity: float) -> Scheduler:
    """The scheduler of a name, with checked settings.

    Args:
        name: What a config's key `scheduler` may hold.
        scheduler_config: Its settings, without the student's sparsity.
        target_sparsity: The student's sparsity, in (0, 1).

    Raises:
        ConfigError: it is not installed, or a setting cannot be used.
    """
    found = host().schedulers()
    registered = pick("scheduler", name, "scheduler")
    scheduler_class = registered.item
    if "target_sparsity" in scheduler_config:
        raise ConfigError("scheduler_config.target_sparsity: set pruning.target_sparsity instead")
    settings = {**scheduler_config, "target_sparsity": target_sparsity}
    # One config serves every scheduler: a key that only others know is passed over, one that none knows is not.
    known = {key for scheduler in found.values() for key in settings_of(scheduler)}
    for key in sorted(scheduler_config):
        if key not in known:
            raise ConfigError(unknown_key(f"scheduler_config.{key}", sorted(known - {"target_sparsity"})))
        if key not in settings_of(scheduler_class):
            logger.info("scheduler_config.%s is not used by scheduler %s", key, name)
            del settings[key]
    with registered.calling("made"):
        scheduler: Scheduler = validate(scheduler_class, settings, prefix="scheduler_config.")
    settle(scheduler, target_sparsity)
    return scheduler


def make_schedulers(
    name: str, scheduler_config: Mapping[str, Any], sparsities: Sequence[float], *, where_they_fit: bool = False
) -> list[Scheduler]:
    """The schedulers of several students, from the largest to the smallest; see make_scheduler.

    Of the candidates that a config names each has those that are larger than its student; the smallest has all.

    Args:
        name: What a config's key `scheduler` may hold.
        scheduler_config: Its settings, without the students' sparsities.
        sparsities: Of the students.
        where_they_fit: A student that is larger than all candidates has those that are usual for it; one that the
            settings do not fit anyway is left out, but for the smallest.

    Raises:
        ConfigError: it is not installed, or a setting cannot be used.
    """
    smallest, *larger = sorted(sparsities, reverse=True)
    made = [make_scheduler(name, scheduler_config, smallest)]
    given = scheduler_config.get("candidates")
    for sparsity in larger:
        own, scale = dict(scheduler_config), round(1 - sparsity, 6)
        try:
            if isinstance(given, (list, tuple)):  # the smallest student's check was for all
                own["candidates"] = [value for value in given if value > scale]
                if not own["candidates"] and where_they_fit:
                    del own["candidates"]
                elif not own["candidates"]:
                    raise ConfigError(
                        f"scheduler_config.candidates: none of {shown(given)} is larger than the student of sparsity "
                        f"{sparsity:g}; add one in ({scale:g}, 1)"
                    )
            made.append(make_scheduler(name, own, sparsity))
        except ConfigError:
            if not where_they_fit:
                raise
    return made[::-1]


def scales_of(scheduler: Scheduler) -> tuple[float, ...]:
    """The scales that a scheduler will try.

    Raises:
        ConfigError: a setting names one that cannot be.
        PluginError: it gives something else than different scales between the target and 1, largest first.
    """
    owner = _owner(scheduler)
    with owner.calling("candidate_scales"):
        given = list(itertools.islice(scheduler.candidate_scales(), _MOST + 1))
        sound = (
            len(given) <= _MOST
            and all(_is_number(scale) and scheduler.target_scale < scale < 1 for scale in given)
            and all(larger > smaller for larger, smaller in itertools.pairwise(given))
        )
    if not sound:
        raise owner.error(
            f"candidate_scales gives {shown(given)}, not different scales between the student's "
            f"({scheduler.target_scale:g}) and 1, the largest first"
        )
    return tuple(given)


def stages_of(*students: Scheduler) -> list[PlannedStage]:
    """The training stages of a scheduler, or of several that one run has, from the largest student to the smallest.

    Raises:
        PluginError: it gives something else.
    """
    scheduler, asked = students[-1], "stages" if len(students) == 1 else "stages_each"
    owner = _owner(scheduler)
    with owner.calling(asked):
        found = scheduler.stages() if len(students) == 1 else scheduler.stages_each(students)
        given = list(itertools.islice(found, _MOST + 1))
        fault = _fault_of_stages(given)
    if fault:
        raise owner.error(f"{asked} gives {fault}")
    return given


def settle(scheduler: Scheduler, target_sparsity: float) -> None:
    """Ask a new scheduler all that it can tell before it runs.

    Raises:
        ConfigError: a setting names a scale that cannot be.
        PluginError: an answer is not what the protocol promises.
    """
    owner = _owner(scheduler)
    with owner.calling("read"):
        sound = (
            scheduler.target_sparsity == target_sparsity
            and scheduler.target_scale == round(1.0 - target_sparsity, 6)
            and scheduler.allocation in ("global", "uniform")
        )
    if not sound:
        raise owner.error("its target_sparsity, target_scale or allocation is not that of the config")
    with owner.calling("model_dump"):
        scheduler.model_dump(mode="json", by_alias=True)
    scales_of(scheduler)
    stages_of(scheduler)


def decide(scheduler: Scheduler, bench: Workbench) -> Schedule:
    """Let a scheduler choose.

    Raises:
        PluginFailedError: it gives something else than a schedule.
        MinidiscError: what its run raises.
    """
    owner = _owner(scheduler)
    with owner.calling("run", PluginFailedError):
        schedule = scheduler.run(bench)
        fault = _fault_of_schedule(schedule, scheduler, bench)
    if fault:
        raise owner.error(f"run gives {fault}", PluginFailedError)
    return schedule


def decide_each(students: Sequence[Scheduler], bench: Workbench) -> Callable[[Scheduler], Schedule]:
    """Let the schedulers of one run do what they share; returns what lets each of them choose, see `run_each`.

    Args:
        students: From the largest student to the smallest.
        bench: The means.

    Raises:
        PluginFailedError: it gives something else, now or when a schedule is asked for.
        MinidiscError: what it raises.
    """
    if len(students) == 1:
        return lambda scheduler: decide(scheduler, bench)
    owner = _owner(students[-1])
    with owner.calling("run_each", PluginFailedError):
        choose: Any = students[-1].run_each(bench, students)
    if not callable(choose):
        raise owner.error(f"run_each gives {shown(choose)}, which cannot be called", PluginFailedError)

    def decided(scheduler: Scheduler) -> Schedule:
        with owner.calling("run_each", PluginFailedError):
            schedule: Schedule = choose(scheduler)
            fault = _fault_of_schedule(schedule, scheduler, bench)
        if fault:
            raise owner.error(f"run_each gives {fault}", PluginFailedError)
        return schedule

    return decided


def _owner(scheduler: Scheduler) -> Registered[type[Scheduler]]:
    """Whose a scheduler is; a class that nobody registered is its script's."""
    kind = type(scheduler)
    found = host().all("scheduler").get(getattr(kind, "name", ""))
    if found is not None and found.item is kind:
        return found
    return Registered(kind, "scheduler", str(getattr(kind, "name", kind.__name__)), kind.__module__, False)


def _fault_of_stages(stages: Any) -> str | None:
    if not 0 < len(stages) <= _MOST:
        return "no stage, not even the student's" if not stages else f"more than {_MOST} stages"
    names = set()
    for stage in stages:
        if not isinstance(stage, PlannedStage):
            return f"{shown(stage)}, which is no PlannedStage"
        if not is_plain(stage.name) or stage.name in names:
            return f"a stage named {shown(stage.name)}, which is no name of its own"
        names.add(stage.name)
        if not _is_scale(stage.teacher_scale):
            return f"the stage {stage.name!r} with the teacher_scale {shown(stage.teacher_scale)}"
        if not isinstance(stage.passes, Mapping) or not stage.passes:
            return f"the stage {stage.name!r} with the passes {shown(stage.passes)}"
        if not all(_is_scale(scale) and _is_number(count) and count >= 0 for scale, count in stage.passes.items()):
            return f"the stage {stage.name!r} with the passes {shown(stage.passes)}"
    return None


def _fault_of_schedule(schedule: Any, scheduler: Scheduler, bench: Workbench) -> str | None:
    from transformers import PreTrainedModel

    if late := put_off(schedule):
        return late
    if not isinstance(schedule, Schedule):
        return f"{shown(schedule)}, which is no Schedule"
    record: Any = schedule.record
    if not isinstance(record, ScheduleRecord):
        return f"a record that is {shown(record)}, which is no ScheduleRecord"
    try:
        ScheduleRecord.model_validate(record.model_dump())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f"a record whose {'.'.join(map(str, first['loc']))} cannot be: {first['msg']}"
    if abs(record.target_scale - scheduler.target_scale) > _ROUNDING:
        return f"a record with the target_scale {record.target_scale:g} in place of {scheduler.target_scale:g}"
    if not isinstance(schedule.assistants, (list, tuple)) or len(schedule.assistants) != len(record.assistants):
        return f"other assistants than its record, which names {len(record.assistants)}"
    models = [*schedule.assistants, schedule.student]
    for model in models:
        if not isinstance(model, PreTrainedModel):
            return f"{shown(type(model).__name__)} as an assistant or student, which is no model"
    if len({id(model) for model in (*models, bench.teacher)}) < len(models) + 1:
        return "one model twice among teacher, assistants and student"
    distilled: Any = schedule.distilled
    return None if isinstance(distilled, bool) else f"distilled: {shown(distilled)}"


def _is_scale(value: Any) -> bool:
    return _is_number(value) and 0 < value <= 1


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
