"""Tables of the speed benchmark, made from records alone; a measurement that is missing is a dash."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from statistics import mean, stdev
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from benchmarks.cells import Record
from benchmarks.measure import REPORT
from benchmarks.speed_cells import FAST, PUBLISHED

Records = Mapping[str, Record]
DASH = "-"

# Numerator and denominator of each.
RATIOS = (("published", "minidisc"), ("minidisc", "direct"), ("maxidisc", "minidisc"), ("maxidisc-16", "minidisc-16"))
COUNTS = (2, 4, 8, 16)
UNIT = 4  # candidates that the cost of others is told in
CACHE = "-teacher"  # ends the names of stages in which a teacher's outputs are cached
_STAGES = ("importance", "caches", "sandwich", "halving", "trials", "selection", "student")


def tables(records: Records, names: Iterable[str]) -> list[Table]:
    """All tables.

    Args:
        records: By name.
        names: Of the cells there should be, in order; records of others are shown as well.
    """
    every = list(dict.fromkeys([*names, *records]))
    parts = [name.split("/") for name in every]
    steps = [rest[0] for kind, *rest in parts if kind == "step"]
    timed = _by_task(rest for kind, *rest in parts if kind == "run")
    choices = _by_task(rest for kind, *rest in parts if kind == "choice")
    found = [step_table(records, steps)]
    for task, runs in timed.items():
        labels = [label for (label,) in runs]
        found += [run_table(records, task, labels), ratio_table(records, task), memory_table(records, task, labels)]
    for task, cells in choices.items():
        protocols = _ordered({protocol for protocol, _ in cells}, [protocol for protocol, _ in cells])
        seeds = sorted({seed for _, seed in cells}, key=int)
        found.append(choice_table(records, task, protocols, seeds))
        candidates = candidate_table(records, task, protocols, seeds)
        found += [candidates] if candidates.row_count else []
    return found


def step_table(records: Records, names: Sequence[str]) -> Table:
    """Seconds of a step; the ratio of means is that of an epoch, as batches grouped by length differ."""
    table = _table(
        "an optimizer step of the first stage, batches of 16",
        ["step", "median s", "mean s", "published is x times (median)", "(mean)", "steps", "cache, once, s"],
    )
    base = records.get(f"step/{PUBLISHED}")
    for name in names:
        record = records.get(f"step/{name}")
        cells = [DASH] * 6
        if record:
            found = record.result
            ratios = [_ratio(base.result[key] if base else None, found[key]) for key in ("median", "mean")]
            before = sum(seconds for stage, seconds in found["before"].items() if stage.endswith(CACHE))
            cells = [f"{found['median']:.3f}", f"{found['mean']:.3f}", *ratios, str(len(found["seconds"]))]
            cells.append(_number(before or None, ".1f"))
        table.add_row(name, *cells)
    return table


def run_table(records: Records, task: str, names: Sequence[str]) -> Table:
    """Seconds of whole runs, in all and by stage, without the report."""
    found = [stages(records, f"run/{task}/{name}") for name in names]
    columns = list(dict.fromkeys([*_STAGES, *(stage for one in found for stage in one)]))
    table = _table(f"whole runs on {task}, seconds", ["run", "in all", *columns, "peak MiB"])
    for name, one in zip(names, found, strict=True):
        result = _result(records, f"run/{task}/{name}")
        cells = [_number(one.get(column), ".1f") for column in columns]
        table.add_row(name, _number(result.get("seconds"), ".1f"), *cells, _number(result.get("peak_mib"), ",.0f"))
    return table


def stages(records: Records, name: str) -> dict[str, float]:
    """Seconds of a run's stages; trials of all candidates are one."""
    found: dict[str, float] = {}
    for stage, seconds in _result(records, name).get("stages", {}).items():
        if stage != REPORT:
            key = "trials" if stage.startswith("trial-") else stage
            key = "caches" if stage.endswith(CACHE) else key
            key = "halving" if stage.startswith("halving-") else key
            found[key] = found.get(key, 0.0) + seconds
    return found


def ratio_table(records: Records, task: str) -> Table:
    """How whole runs compare, and what more candidates cost."""
    table = _table(f"whole runs on {task}, ratios", ["runs", "ratio"])

    def seconds(name: str) -> float | None:
        found: float | None = _result(records, f"run/{task}/{name}").get("seconds")
        return found

    for above, below in RATIOS:
        table.add_row(f"{above} / {below}", _ratio(seconds(above), seconds(below)))
    for count in COUNTS:
        ratio = _ratio(seconds(f"minidisc-{count}"), seconds(f"minidisc-{UNIT}"))
        table.add_row(f"minidisc: {count} / {UNIT} candidates", ratio)
    return table


def memory_table(records: Records, task: str, names: Sequence[str]) -> Table:
    """Peak memory of whole runs against fine-tuning the teacher."""
    table = _table(f"peak memory of the process on {task}", ["process", "MiB", "of fine-tuning"])
    base = _result(records, f"memory/{task}/fine-tuning").get("peak_mib")
    table.add_row("fine-tuning the teacher", _number(base, ",.0f"), _ratio(base, base))
    for name in names:
        peak = _result(records, f"run/{task}/{name}").get("peak_mib")
        table.add_row(name, _number(peak, ",.0f"), _ratio(peak, base))
    return table


def choice_table(records: Records, task: str, protocols: Sequence[str], seeds: Sequence[str]) -> Table:
    """Assistant and test metric of each protocol by seed, and the students' difference to the published one."""
    results = {
        (protocol, seed): _result(records, f"choice/{task}/{protocol}/{seed}")
        for protocol in protocols
        for seed in seeds
    }
    others = [protocol for protocol in protocols if protocol != PUBLISHED]
    header = ["seed", "teacher"]
    for protocol in protocols:
        header += [f"{protocol}: scale", "assistant", "student"]
    table = _table(_choice_title(task, list(results.values())), [*header, *(f"{name}, points" for name in others)])
    for seed in seeds:
        row = [seed, _number(_metric([results[protocol, seed] for protocol in protocols], "teacher"), ".3f")]
        for protocol in protocols:
            result = results[protocol, seed]
            row.append(", ".join(f"{scale:g}" for scale in result["assistants"]) or "none" if result else DASH)
            row += [_number(_metric([result], role), ".3f") for role in ("assistant", "student")]
        row += [_difference([(results[name, seed], results[PUBLISHED, seed])]) for name in others]
        table.add_row(*row)
    table.add_section()
    row = ["mean", DASH]
    for protocol in protocols:
        done = [results[protocol, seed] for seed in seeds]
        row += [DASH, *(_number(_mean(done, role), ".3f") for role in ("assistant", "student"))]
    row += [_difference([(results[name, seed], results[PUBLISHED, seed]) for seed in seeds]) for name in others]
    table.add_row(*row)
    return table


def candidate_table(records: Records, task: str, protocols: Sequence[str], seeds: Sequence[str]) -> Table:
    """Metric of each candidate on the selection split, mean of the seeds, and how often it was chosen."""
    table = _table(
        f"candidates on {task}: mean selection metric",
        ["scale", *(column for protocol in protocols for column in (protocol, "chosen"))],
    )
    found: dict[float, dict[str, list[dict[str, Any]]]] = {}
    for protocol in protocols:
        for seed in seeds:
            for candidate in _result(records, f"choice/{task}/{protocol}/{seed}").get("candidates", []):
                found.setdefault(candidate["scale"], {}).setdefault(protocol, []).append(candidate)
    for scale in sorted(found, reverse=True):
        row = [f"{scale:g}"]
        for protocol in protocols:
            ones = found[scale].get(protocol, [])
            metrics = [one["metric"] for one in ones if one["metric"] is not None]
            row.append(f"{mean(metrics):.3f}" if metrics else DASH)
            row.append(f"{sum(one['selected'] for one in ones)} of {len(ones)}" if ones else DASH)
        table.add_row(*row)
    return table


def sources(records: Records) -> list[str]:
    """One line per machine and set of versions that records come from."""

    def key(record: Record) -> str:
        return record.source.model_dump_json()

    lines = []
    for _, group in groupby(sorted(records.values(), key=key), key=key):
        ones = list(group)
        machine, versions = ones[0].source.machine, ones[0].source.versions
        libraries = ", ".join(f"{name} {version}" for name, version in versions.items())
        days = sorted({record.date[:10] for record in ones})
        lines.append(
            f"{len(ones)} of {len(records)} cells, {' to '.join(dict.fromkeys([days[0], days[-1]]))}: "
            f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads, "
            f"{machine['memory_gib']:g} GiB; {libraries}"
        )
    return lines


def _choice_title(task: str, results: Sequence[Mapping[str, Any]]) -> str:
    done = [result for result in results if result]
    if not done:
        return f"choice on {task}"
    metric, split, examples = (done[0][key] for key in ("metric", "split", "examples"))
    return f"choice on {task}: {metric} on {examples:,} {split} examples"


def _metric(results: Iterable[Mapping[str, Any]], role: str) -> float | None:
    """Of the first result that has this model."""
    found = (result.get("models", {}).get(role) for result in results)
    return next((value for value in found if value is not None), None)


def _mean(results: Iterable[Mapping[str, Any]], role: str) -> float | None:
    values = [value for value in (_metric([result], role) for result in results) if value is not None]
    return mean(values) if values else None


def _difference(pairs: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> str:
    """Of the students in points, with its standard error where there are several pairs."""
    metrics = [(_metric([one], "student"), _metric([other], "student")) for one, other in pairs]
    points = [100 * (one - other) for one, other in metrics if one is not None and other is not None]
    if not points:
        return DASH
    error = f" ± {stdev(points) / math.sqrt(len(points)):.1f}" if len(points) > 1 else ""
    return f"{mean(points):+.1f}{error}"


def _by_task(parts: Iterable[Sequence[str]]) -> dict[str, list[Sequence[str]]]:
    found: dict[str, list[Sequence[str]]] = {}
    for task, *rest in parts:
        found.setdefault(task, []).append(rest)
    return found


def _ordered(names: set[str], appearance: Sequence[str]) -> list[str]:
    """The published protocol first, the default one next, others as they appear."""
    return [name for name in dict.fromkeys([PUBLISHED, FAST, *appearance]) if name in names]


def _result(records: Records, name: str) -> dict[str, Any]:
    return records[name].result if name in records else {}


def _number(value: float | None, form: str) -> str:
    return DASH if value is None else format(value, form)


def _ratio(above: float | None, below: float | None) -> str:
    return DASH if above is None or not below else f"{above / below:.2f}"


def _table(title: str, header: Sequence[str]) -> Table:
    table = Table(title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for place, name in enumerate(header):
        table.add_column(Text(name), justify="right" if place else "left", vertical="bottom")
    return table
