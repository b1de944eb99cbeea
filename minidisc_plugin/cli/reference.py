"""The reference in Markdown, made from the code: `python -m minidisc_plugin.cli.reference`."""

from __future__ import annotations

import argparse
import functools
import inspect
import types
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

_WIDTH = 100
_NAMES = {str: "text", int: "whole number", float: "number", bool: "true or false", dict: "keys and values"}
_LIMITS = {
    "gt": ">",
    "ge": ">=",
    "lt": "<",
    "le": "<=",
    "min_length": "of at least",
    "max_length": "of at most",
}

_INTRODUCTION = """\
# Reference

Made by `python -m minidisc_plugin.cli.reference > docs/reference.md`; edit the code, not this file.

## Config

YAML or JSON. A key that is not listed is refused, with the nearest that is. `--set KEY=VALUE` changes one key,
dotted where it lies in a section. Paths are relative to the working directory."""


def reference() -> str:
    """The whole reference; the same on every machine with the same version of this package."""
    from minidisc_plugin.contracts.config import CompressionConfig

    parts = [_INTRODUCTION, _settings(CompressionConfig)]
    for name, field in CompressionConfig.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            parts += [f"### {name}", _summary(section), _settings(section, f"{name}.")]
    parts += [
        "### training",
        *_training(),
        "## Objectives",
        *_objectives(),
        "## Schedulers",
        *_schedulers(),
        "## Command line",
        *_commands(),
    ]
    return "\n\n".join([*parts, *_output()]) + "\n"


def _training() -> Iterable[str]:
    from minidisc_plugin.training.arguments import DEFAULTS

    yield (
        "Keys of `transformers.TrainingArguments`, for every training stage, as transformers 4 or 5 names them. "
        "Defaults that differ from those of transformers:"
    )
    yield _table(("key", "default"), [(f"`training.{key}`", _value(value)) for key, value in DEFAULTS.items()])


def _objectives() -> Iterable[str]:
    from minidisc_plugin.run.shipped import minidisc_register_objectives

    yield (
        "What `distillation.objective` may hold; what each computes, and what came of it: "
        "[objectives.md](objectives.md). Settings of its own are a section of its name."
    )
    for objective in minidisc_register_objectives():
        yield f"### {objective.name}"
        yield _summary(objective)
        if objective.own_settings is not None:
            yield _settings(objective.own_settings, f"distillation.{objective.name}.")


def _schedulers() -> Iterable[str]:
    from minidisc_plugin.plugins import host

    yield (
        "What `scheduler` may hold, and the keys of `scheduler_config` that it reads. Those that only another "
        "scheduler reads are passed over. Other packages bring more: [schedulers.md](schedulers.md)."
    )
    for name, scheduler in sorted(host().schedulers().items()):
        if not scheduler.__module__.startswith("minidisc_plugin."):
            continue  # somebody else's, installed beside this package
        yield f"### {name}"
        yield _summary(scheduler)
        own = _settings(scheduler, "scheduler_config.", leave_out="target_sparsity")
        yield own or "It has no settings."


def _commands() -> Iterable[str]:
    from minidisc_plugin.cli import make_parser

    parser = make_parser()
    yield _help(parser)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                yield f"### minidisc {name}"
                yield _help(command)


def _output() -> Iterable[str]:
    from minidisc_plugin.contracts.output import (
        CHECKPOINTS,
        FILES,
        OF_THE_RUN,
        RECORD_FILE,
        REPLACEMENT,
        RESOLVED_CONFIG,
        student_folder,
    )

    yield "## Output directory"
    yield _table(("file", "content"), [(f"`{name}`", content) for name, content in FILES.items()])
    yield (
        f"`{CHECKPOINTS}/` is there while a run is under way, or after one was cut off; `--resume` reads it. "
        f"`{REPLACEMENT}/` holds a run that was started with `--overwrite`, until it is whole and takes "
        "the place of the one that is here; `--resume` goes on with it. `assistant/` is missing after "
        "`scheduler: direct`, `tradeoff.png` where no candidates are compared."
    )
    several = ", ".join(f"`{name}` ({what})" for name, what in OF_THE_RUN.items() if what != FILES[name])
    yield (
        f"Of several students each has these files in a folder of its own, `{student_folder(0.9)}/`, but for "
        f"`{RESOLVED_CONFIG}` and `{RECORD_FILE}`, which the run has once; beside the folders lie {several}."
    )


def _help(parser: argparse.ArgumentParser) -> str:
    plain: Any = parser.formatter_class
    parser.formatter_class = functools.partial(plain, width=_WIDTH)
    return f"```text\n{parser.format_help().strip()}\n```"


def _summary(model: type) -> str:
    return " ".join(inspect.cleandoc(model.__doc__ or "").split())


def _settings(model: type[BaseModel], prefix: str = "", leave_out: str = "") -> str:
    """A table of the fields of a model, or nothing where it has none."""
    rows = [
        (f"`{prefix}{field.alias or name}`", _kind(field), _default(field), field.description or "")
        for name, field in model.model_fields.items()
        if name != leave_out
    ]
    return _table(("key", "value", "default", "meaning"), rows) if rows else ""


def _kind(field: FieldInfo) -> str:
    """The type of a field in words, with its range."""
    told = [*field.metadata, *_inside(field.annotation)]
    limits = {name: getattr(part, name) for part in told for name in _LIMITS if hasattr(part, name)}
    signs = [f"{_LIMITS[name]} {limit:g}" for name, limit in limits.items()]
    kind = _words(field.annotation)
    return f"{kind}, {' and '.join(signs)}" if signs else kind


def _inside(annotation: Any) -> Iterator[Any]:
    """What is said of the first type that a key may have where it is given; of a list of the same it is said alike."""
    given = [part for part in get_args(annotation) if part is not type(None)]
    if get_origin(annotation) in (Union, types.UnionType) and get_origin(given[0]) is Annotated:
        for part in get_args(given[0])[1:]:
            yield from part.metadata if isinstance(part, FieldInfo) else [part]


def _words(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _words(arguments[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_words(part) for part in arguments if part is not type(None)))
    if origin is list or arguments[1:] == (...,):
        return f"list of {_words(arguments[0])}"
    if origin is tuple:
        return f"list of {len(arguments)}: {', '.join(_words(part) for part in arguments)}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    return _NAMES[origin or annotation]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return "" if field.default_factory is not None or field.default is None else _value(field.default)


def _value(value: Any) -> str:
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


if __name__ == "__main__":
    print(reference(), end="")
