"""From a budget to the sparsity of a run: at once where the teacher tells it, else by measuring its ranked network."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from minidisc_plugin.contracts.amounts import macs_in
from minidisc_plugin.contracts.budget import Budget
from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.presets import with_protocol
from minidisc_plugin.contracts.pruning import PruningConfig
from minidisc_plugin.contracts.run import Prepared
from minidisc_plugin.contracts.scheduler import Scheduler
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.printable import shown
from minidisc_plugin.foundation.processes import all_or_none, gathered, is_writer
from minidisc_plugin.run.budget import Limit, largest_scale, sparsity_within
from minidisc_plugin.run.directory.budgets import abandon, keep_budget
from minidisc_plugin.run.resolving import Resolved, schedulers_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from minidisc_plugin.contracts.family import Family
    from minidisc_plugin.contracts.workbench import NestedNetwork, Workbench
    from minidisc_plugin.run.directory.folder import RunDirectory

logger = logging.getLogger(__name__)

Checked = TypeVar("Checked", Resolved, Prepared)

_STAGE = "budget"
_FEWER_LAYERS = "a teacher of fewer or narrower layers"


def settled_at_once(
    resolved: Resolved, teacher: PreTrainedModel, family: Family, saved: str, held: Budget | None
) -> tuple[Resolved, Budget | None]:
    """What is resolved with the sparsity that its budget is, and the budget; as it is where that has to be measured.

    Args:
        resolved: With a budget, or a sparsity.
        teacher: With its weights.
        family: Where its heads and neurons live.
        saved: The type of most weights in its files.
        held: What the run that this one goes on with found, if anything.

    Raises:
        ConfigError: no student is within the budget, the teacher itself is, or a candidate does not fit the student.
    """
    pruning = resolved.config.pruning
    if pruning.max_loss is not None:  # students tell
        return resolved, None
    if not pruning.asked:
        kept = held if held is not None and held.target_sparsity == pruning.target_sparsity else None
        return resolved, kept
    if held is not None and held.asked == pruning.asked:
        budget = held
    elif pruning.is_measured:
        return resolved, None
    else:
        sparsity = sparsity_within(pruning, teacher, family, saved, resolved.scheduler.allocation, "pruning.")
        budget = Budget(asked=pruning.asked, target_sparsity=sparsity)
    return _with_sparsity(resolved, resolved.config, budget), budget


def settled(prepared: Prepared, bench: Workbench, given: CompressionConfig) -> Prepared:
    """The run with the sparsity that its budget is, where only its ranked network tells.

    Each process of a run has to ask; one of them measures. It is a stage of the run, and what it found is in the
    journal.

    Args:
        prepared: The checked run.
        bench: Its means.
        given: The config as read: settings of its scheduler that are left out depend on the sparsity.

    Raises:
        ConfigError: no student is within the budget, the teacher itself is, or a candidate does not fit the student.
    """
    pruning = prepared.config.pruning
    if not pruning.is_measured:
        return prepared
    if not bench.journal.finished(_STAGE):
        nested = bench.ranked_network()
        with bench.journal.stage(_STAGE) as result:
            with all_or_none():
                found = _measured(prepared, nested) if is_writer() else {}
            result.update(gathered(found)[0])
    bench.stages.claim(_STAGE)
    budget = Budget(asked=pruning.asked, **bench.journal.result(_STAGE))
    settings = {"scheduler_config": with_protocol(given).scheduler_config}
    changed = _with_sparsity(prepared, prepared.config.model_copy(update=settings), budget)
    settings = {"scheduler_config": {**changed.config.scheduler_config, **settings_of(changed.scheduler)}}
    return replace(changed, config=changed.config.model_copy(update=settings), budget=budget)


def settled_in(
    directory: RunDirectory, prepared: Prepared, bench: Workbench, given: CompressionConfig, *, resume: bool
) -> Prepared:
    """See settled; what was found is kept in the run's record, and a run that is refused leaves nothing.

    Args:
        directory: Opened.
        prepared: The checked run.
        bench: Its means.
        given: The config as read.
        resume: Whether the run goes on with an earlier one.

    Raises:
        ConfigError: see settled.
    """
    try:
        prepared = settled(prepared, bench, given)
    except ConfigError:
        if is_writer() and not resume:
            abandon(directory)
        raise
    if is_writer() and prepared.budget is not None:
        keep_budget(directory, prepared.config, prepared.budget)
    return prepared


def settings_of(scheduler: Scheduler) -> dict[str, Any]:
    """The section `scheduler_config` of a scheduler, with every default."""
    return scheduler.model_dump(mode="json", by_alias=True, exclude={"target_sparsity"}, exclude_none=True)


def _with_sparsity(checked: Checked, config: CompressionConfig, budget: Budget) -> Checked:
    pruning = PruningConfig(target_sparsity=budget.target_sparsity)
    config = config.model_copy(update={"pruning": pruning})
    return replace(checked, config=config, students=schedulers_of(config))


def _measured(prepared: Prepared, nested: NestedNetwork) -> Mapping[str, float]:
    """The sparsity of the largest student within the budget, and what its slice costs."""
    from minidisc_plugin.run.measuring.costs import milliseconds, multiply_accumulates
    from minidisc_plugin.run.measuring.search import largest_measured

    pruning = prepared.config.pruning
    if pruning.max_latency_ms is not None:
        examples = pruning.batch_size or 1
        where = f"pruning.max_latency_ms: {shown(pruning.max_latency_ms)}"
        limit = Limit(where, pruning.max_latency_ms, _in_milliseconds, "takes", _FEWER_LAYERS)
        logger.info("%s: about a dozen slices are measured, for a second or two each", where)
        scale, found = largest_measured(milliseconds(prepared, nested, examples), limit)
    else:
        assert pruning.max_macs is not None
        where = f"pruning.max_macs: {shown(pruning.max_macs)}"
        limit = Limit(where, macs_in(pruning.max_macs), _in_macs, remedy=_FEWER_LAYERS)
        cost = multiply_accumulates(prepared, nested)
        scale = largest_scale(cost, limit)
        found = cost(scale)
    logger.info("%s: a student of scale %g, with %s", where, scale, limit.said(found))
    return {"target_sparsity": round(1 - scale, 6), "cost": round(found, 4)}


def _in_milliseconds(value: float) -> str:
    return f"{value:.3g} ms"


def _in_macs(count: float) -> str:
    return f"{count:,.0f} multiply-accumulates"
