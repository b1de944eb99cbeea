"""YAML and JSON as plain data: what a file holds is what one reads, and no file can exhaust the machine."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

from minidisc_plugin.foundation.printable import one_line, printable, shown

_LARGEST_FILE = 2**20
_LARGEST_INTEGER = 2**64
_DEEPEST = 40
# Characters and values once aliases are written out.
_LARGEST = 4 * 2**20

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_INTEGER = re.compile(r"[-+]?(0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)$")
_REAL = re.compile(
    r"([-+]?([0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"
)
_PLAIN = ("str", "null", "bool", "int", "float", "seq", "map")


class PlainDataError(ValueError):
    """The text is malformed, ambiguous, or larger than any config."""


class _Loader(yaml.SafeLoader):
    """Plain values as JSON and Python know them: `1e-4` is a number; `010` is ten; `2026-11-26` and `1:30` are text."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """As PyYAML, to a depth."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise PlainDataError(f"nested more than {_DEEPEST} levels deep")
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def get_single_node(self) -> yaml.Node | None:
        """The document's root, each key once, each alias small."""
        root = super().get_single_node()
        if root is not None:
            _written_out(root, {}, ())
        return root

    def integer(self, node: yaml.ScalarNode) -> int:
        """An integer; a leading zero means nothing."""
        text = self.construct_scalar(node).replace("_", "").lower()
        prefixed = re.match(r"[-+]?0[box]", text)
        # The quadratic time of reading thousands of digits is spared.
        return _bounded(int(text, 0) if prefixed and len(text) < 80 else text)

    def refuse(self, node: yaml.Node) -> None:
        """No tag makes anything but plain data."""
        tag = node.tag.removeprefix(_TAG)
        raise PlainDataError(f"not valid yaml: the tag {shown(tag)}{_at(node)} makes no plain value; remove it")


class _Dumper(yaml.SafeDumper):
    """Quotes a string that `_Loader`, or another reader of YAML, would take for something else."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.removeprefix(_TAG) in ("null", "bool", "merge")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _side in (_Loader, _Dumper):
    _side.add_implicit_resolver(f"{_TAG}int", _INTEGER, list("-+0123456789"))
    _side.add_implicit_resolver(f"{_TAG}float", _REAL, list("-+.0123456789"))
_Loader.yaml_constructors = {
    tag: constructor
    for tag, constructor in SafeConstructor.yaml_constructors.items()
    if str(tag).removeprefix(_TAG) in _PLAIN
}
_Loader.add_constructor(f"{_TAG}int", _Loader.integer)
_Loader.add_constructor(None, _Loader.refuse)


def read_text(file: Path) -> str:
    """The text of a config.

    Raises:
        OSError: it cannot be read.
        PlainDataError: it is no file, too large for a config, or not in UTF-8.
    """
    try:
        mode = file.stat().st_mode
    except ValueError as error:  # a NUL in the name
        raise PlainDataError(f"cannot be the name of a file: {error}") from error
    if not stat.S_ISREG(mode):
        raise PlainDataError(f"is {_kind(mode)}, not a file; give a config in YAML or JSON")
    with file.open("rb") as opened:
        data = opened.read(_LARGEST_FILE + 1)
    if len(data) > _LARGEST_FILE:
        raise PlainDataError(f"is larger than {_LARGEST_FILE // 1024} KiB, so it is no config")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PlainDataError(f"not a text file in UTF-8: {error.reason}; save it in UTF-8") from error


def from_yaml(text: str) -> Any:
    """The data of a YAML document.

    Raises:
        PlainDataError: it is malformed; a key stands twice or is no text; tags, aliases or numbers that make more of
            it than stands there.
    """
    try:
        data = yaml.load(text, Loader=_Loader)  # a SafeLoader
    except PlainDataError:
        raise
    except (yaml.YAMLError, LookupError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise PlainDataError(f"not valid yaml: {_problem(error)}") from error
    return checked(data)


def from_json(text: str) -> Any:
    """The data of a JSON document.

    Raises:
        PlainDataError: as `from_yaml`.
    """
    try:
        data = json.loads(text, object_pairs_hook=_unique, parse_int=_bounded, parse_constant=_no_number)
    except PlainDataError:
        raise
    except RecursionError as error:
        raise PlainDataError(f"nested more than {_DEEPEST} levels deep") from error
    except ValueError as error:
        raise PlainDataError(f"not valid json: {one_line(str(error))}") from error
    return checked(data)


def to_yaml(data: Any) -> str:
    """Plain data as YAML that `from_yaml` reads back."""
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100))


def checked(data: Any) -> Any:
    """The data, if it is not too deep to be worked with and can be written again.

    Raises:
        PlainDataError: it is, or it cannot.
    """
    level: list[tuple[str, Any]] = [("", data)]
    for _ in range(_DEEPEST):
        for key, value in level:
            _check_value(key, value)
        level = [inner for key, value in level for inner in _inner(key, value)]
        if not level:
            return data
    raise PlainDataError(f"nested more than {_DEEPEST} levels deep")


def _inner(key: str, value: Any) -> Iterable[tuple[str, Any]]:
    """What a value holds, each with the dotted key that leads there; names of keys are values, too."""
    if isinstance(value, Mapping):
        keyed = [(f"{key}.{name}".lstrip("."), inner) for name, inner in value.items()]
        return [*((key, name) for name in value), *keyed]
    return [(key, inner) for inner in value] if isinstance(value, (list, tuple)) else ()


def _check_value(key: str, value: object) -> None:
    where = f"{printable(key)}: " if key else ""
    if isinstance(value, int) and abs(value) >= _LARGEST_INTEGER:
        raise PlainDataError(f"{where}a whole number has more than 64 bits")
    if not isinstance(value, str) or value.isascii():
        return
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise PlainDataError(f"{where}a text holds half of a surrogate pair, which no file can hold") from error


def _written_out(node: yaml.Node, sizes: dict[yaml.Node, int], above: tuple[yaml.Node, ...]) -> int:
    """Size of a node with its aliases written out; keys are checked on the way."""
    if node in sizes:
        return sizes[node]
    if node in above:
        raise PlainDataError(f"the value{_at(node)} holds itself")
    size = 1
    if isinstance(node, yaml.ScalarNode):
        size += len(node.value)
    else:
        if isinstance(node, yaml.MappingNode):
            _check_keys(node)
            parts = [part for pair in node.value for part in pair]
        else:
            parts = node.value
        for part in parts:
            size += _written_out(part, sizes, (*above, node))
            if size > _LARGEST:
                raise PlainDataError("aliases make it larger than any config; write the values out")
    sizes[node] = size
    return size


def _check_keys(node: yaml.MappingNode) -> None:
    lines: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode) or key.tag not in (f"{_TAG}str", _MERGE):
            what = shown(key.value) if isinstance(key, yaml.ScalarNode) else "a list or mapping"
            raise PlainDataError(f"the key {what} in line {line} is not a name; put it in quotes if it is meant as one")
        if key.value in lines:
            raise PlainDataError(
                f"the key {shown(key.value)} stands twice, in lines {lines[key.value]} and {line}; remove one"
            )
        lines[key.value] = line


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise PlainDataError(f"the key {shown(key)} stands twice; remove one")
        found[key] = value
    return found


def _bounded(number: int | str) -> int:
    """A whole number; of one of many digits, one that `checked` refuses by its key."""
    if isinstance(number, str):
        return int(number) if len(number) < 80 else _LARGEST_INTEGER
    return number


def _no_number(name: str) -> Hashable:
    raise PlainDataError(f"{name} is no number of JSON")


def _problem(error: Exception) -> str:
    """What is wrong and where, without the line itself: a secret may stand in it."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return one_line(str(error))
    mark = error.problem_mark or error.context_mark
    place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else None
    return one_line(", ".join(filter(None, (error.context, error.problem, place))))


def _at(node: yaml.Node) -> str:
    return f" in line {node.start_mark.line + 1}"


def _kind(mode: int) -> str:
    kinds = {stat.S_ISDIR: "a directory", stat.S_ISFIFO: "a pipe", stat.S_ISSOCK: "a socket"}
    return next((name for test, name in kinds.items() if test(mode)), "a device")
