"""The numbers of a run as words: one source for the terminal's tables and the model card's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from minidisc_plugin.contracts.input_shape import InputShape
from minidisc_plugin.contracts.inputs import CHOICE, NOT_TEXTS, SPEECH
from minidisc_plugin.contracts.records import ModelRow, ResultsRecord

NOTHING = "-"
MARK = " (!)"
_TIMES = 5
# Tasks whose accuracy is that of examples.
_OF_EXAMPLES = {"text-classification", CHOICE, *NOT_TEXTS} - {SPEECH}


@dataclass(frozen=True)
class Grid:
    """A table of strings, not yet drawn; a header may be broken into lines."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1
    """How many columns, from the left, hold words; those to the right of them hold numbers."""
    strong: frozenset[int] = frozenset()
    """Rows that stand out."""
    ends: frozenset[int] = frozenset()
    """Rows after which a group of rows ends."""
    notes: tuple[str, ...] = ()


def results_grid(results: Sequence[ResultsRecord], names: Sequence[str] | None = None) -> Grid:
    """The models of one run, or of several below each other, each compared with the teacher of its run.

    Args:
        results: at least one.
        names: what to call each run where the schedulers alone do not tell them apart.
    """
    labels = _labels(results, names)
    one_metric = len({(r.metric, r.split) for r in results}) == 1
    score_name = f"{results[0].split}\n{plain(results[0].metric)}" if one_metric else "metric"
    on_device = any(row.throughput_saturated is not None for record in results for row in record.rows)
    speaks = any(row.perplexity is not None for record in results for row in record.rows)
    texts = list(dict.fromkeys(name for record in results for row in record.rows for name in row.texts))
    rows: list[tuple[str, ...]] = []
    strong, ends = set(), set()
    for label, record in zip(labels, results, strict=True):
        teacher = record.row("teacher")
        for row in record.rows:
            if row.role == "student":
                strong.add(len(rows))
            unit = "" if one_metric else f" {plain(record.metric)} ({record.split})"
            who = (form_of(row),) if len(results) == 1 else (label, form_of(row))
            rival = record.teacher_in(row.runtime)
            cells = (*_sizes(row, teacher, rival), *(_saturated(row, rival) if on_device else ()))
            mark = MARK if row.lost_too_much else ""
            perplexity = (NOTHING if row.perplexity is None else three(row.perplexity),) if speaks else ()
            said = (*perplexity, *(score(row.texts.get(name)) for name in texts))
            rows.append((*who, f"{row.scale:.4g}", score(row.metric) + unit + mark, *said, *cells))
        ends.add(len(rows) - 1)
    who = ("role",) if len(results) == 1 else ("scheduler", "role")
    sizes = ("params", "encoder\nparams", "MACs", "on disk")
    speed = ("ms at\nbatch 1", "ex/s at\nbatch 32", *(("ex/s at\nbest batch", "ms by\ngraph") if on_device else ()))
    return Grid(
        title=results[0].scheduler if len(results) == 1 else f"{len(results)} runs",
        header=(*who, "scale", score_name, *(("perplexity",) if speaks else ()), *map(plain, texts), *sizes, *speed),
        rows=tuple(rows),
        words=len(who),
        strong=frozenset(strong),
        ends=frozenset(ends),
        notes=_notes(results, labels),
    )


def drawn_from(rows: Mapping[str, int]) -> str:
    """What the epochs of a training stage draw their examples from.

    Args:
        rows: Examples by where they come from, "labelled" among them.
    """
    parts = ", ".join(f"{number:,} {kind}" for kind, number in rows.items())
    return f"Each epoch of training draws {rows['labelled']:,} of {sum(rows.values()):,} examples: {parts}"


def judged_by_teacher(record: ResultsRecord) -> str:
    """That a metric says how well the teacher was copied, and not how good a model is."""
    return (
        f"The {record.split} split has no scores: its {plain(record.metric)} is the agreement with the teacher's own "
        "similarities"
    )


def derived(model_type: str) -> str:
    """That nobody declared the family of a model."""
    return (
        f"The family of {model_type!r} is declared by nobody: it was derived from the model's structure, and verified"
    )


def score(value: float | None) -> str:
    """A metric with four decimals, or two if it is not of the kind that ends at 1."""
    if value is None:
        return NOTHING
    return f"{value:.4f}" if abs(value) <= 2 else f"{value:.2f}"


def count(value: float | None) -> str:
    """2345678 as "2.35M"; three significant digits, decimal steps."""
    if value is None:
        return NOTHING
    for unit in ("", "k", "M", "G"):
        if value < 999.5:
            return f"{value:.0f}" if not unit else three(value) + unit
        value /= 1000
    return f"{value:,.2f}T"


def size(value: int | None) -> str:
    """Bytes as "90.9 MB"; decimal steps."""
    if value is None:
        return NOTHING
    text = count(value)
    number, unit = (text[:-1], text[-1]) if text[-1].isalpha() else (text, "")
    return f"{number} {unit}B"


def duration(seconds: float) -> str:
    """Seconds as "7.3 s", "14 min" or "1 h 05 min"."""
    if seconds < 99.5:
        return f"{seconds:.2g} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def times(seconds: Mapping[str, float]) -> str:
    """What took how long, in a line, the longest of many; empty if nothing was timed."""
    if not seconds:
        return ""
    longest = sorted(seconds, key=lambda name: -seconds[name])[: _TIMES if len(seconds) > _TIMES + 1 else None]
    steps = [f"{name} {duration(taken)}" for name, taken in seconds.items() if name in longest]
    if rest := [taken for name, taken in seconds.items() if name not in longest]:
        steps.append(f"{len(rest)} others {duration(sum(rest))}")
    return f"{duration(sum(seconds.values()))} ({', '.join(steps)})"


def sentence(text: str) -> str:
    """The text with a full stop."""
    return text if text.endswith(".") else f"{text}."


def form_of(row: ModelRow) -> str:
    """What a row is: its role, and its runtime where that is not plain torch."""
    return row.role if row.runtime in ("torch fp32", row.role) else f"{row.role}, {row.runtime}"


def _sizes(row: ModelRow, teacher: ModelRow | None, rival: ModelRow | None) -> tuple[str, ...]:
    """Sizes next to the teacher's, speed next to that of the teacher in the same runtime."""
    encoder, throughput = count(row.encoder_parameters), NOTHING
    whole = teacher.encoder_parameters if teacher else None
    if row.encoder_parameters is not None and whole and row.role != "teacher":
        encoder += f" ({100 * row.encoder_parameters / whole:.2g}%)"
    if row.throughput_batch32 is not None:
        throughput = three(row.throughput_batch32)
        base = rival.throughput_batch32 if rival else None
        if base and row is not rival:
            throughput += f" ({row.throughput_batch32 / base:.1f}x)"
    latency = NOTHING if row.latency_ms_batch1 is None else three(row.latency_ms_batch1)
    return (count(row.parameters), encoder, count(row.macs), size(row.bytes_on_disk), latency, throughput)


def _saturated(row: ModelRow, rival: ModelRow | None) -> tuple[str, ...]:
    """Speed at the batch that saturates the device, next to the teacher's, and latency without launches."""
    latency = NOTHING if row.latency_ms_graph is None else three(row.latency_ms_graph)
    if row.throughput_saturated is None:
        return NOTHING, latency
    throughput = three(row.throughput_saturated)
    base = rival.throughput_saturated if rival else None
    if base and row is not rival:
        throughput += f" ({row.throughput_saturated / base:.1f}x)"
    return throughput, latency


def three(value: float) -> str:
    """Three significant digits, trailing zeros kept; all digits of what is 1,000 or more."""
    return f"{value:#.3g}".rstrip(".") if value < 999.5 else f"{value:,.0f}"


def _labels(results: Sequence[ResultsRecord], names: Sequence[str] | None) -> list[str]:
    schedulers = [record.scheduler for record in results]
    if len(set(schedulers)) == len(schedulers):
        return schedulers
    names = names or [f"#{place + 1}" for place in range(len(results))]
    return [f"{scheduler} ({name})" for scheduler, name in zip(schedulers, names, strict=True)]


def _notes(results: Sequence[ResultsRecord], labels: Sequence[str]) -> tuple[str, ...]:
    """The circumstances of all runs once, if they share them, and each run's time."""
    notes: list[str] = []
    circumstances = [measured(record) for record in results]
    if len(set(circumstances)) == 1:
        notes.append(circumstances[0])
    else:
        notes += [f"{label}: {text}" for label, text in zip(labels, circumstances, strict=True)]
    for label, record in zip(labels, results, strict=True):
        told = [
            *_losses(record),
            *([judged_by_teacher(record)] if record.judged_by_teacher else []),
            *([drawn_from(record.drawn_from)] if record.drawn_from else []),
            *([derived(record.derived_family)] if record.derived_family else []),
        ]
        notes += [(f"{label}: " if len(results) > 1 else "") + text for text in told]
    for label, record in zip(labels, results, strict=True):
        if taken := times(record.seconds):
            notes.append(f"Time: {taken}" if len(results) == 1 else f"Time of {label}: {taken}")
    return tuple(map(sentence, notes))


def _losses(record: ResultsRecord) -> list[str]:
    """Of each quantized model that lost too much, how much."""
    return [
        f"{MARK.strip()} {form_of(row)}: {plain(record.metric)} lost {100 * row.lost:.2g}% of its range, more than "
        f"quantization.max_loss allows; it is kept in {row.path}"
        for row in record.rows
        if row.lost_too_much and row.lost is not None
    ]


def measured(record: ResultsRecord) -> str:
    """How the models of a run were measured."""
    student = record.row("student")
    noise = ""
    timed_on = InputShape(record.sequence_length, record.image_size, record.audio_size, record.choices)
    by_example = record.metric == "accuracy" and record.task in _OF_EXAMPLES
    if by_example and student and student.metric is not None and record.examples:
        error = math.sqrt(max(student.metric * (1 - student.metric), 0.0) / record.examples)
        noise = f" (standard error of the student's accuracy: {error:.2g})"
    return (
        f"{record.examples:,} {record.split} examples{noise}; MACs and timings at {timed_on} "
        f"on {record.device}, {record.threads} CPU threads; seed {record.seed}"
    )


def short_names(paths: Sequence[Path]) -> list[str]:
    """The folders' own names, or the paths where two folders have the same."""
    short = [path.resolve().name for path in paths]
    return short if len(set(short)) == len(short) else [str(path) for path in paths]


def plain(metric: str) -> str:
    """The name of a metric as words."""
    return metric.replace("_", " ")
