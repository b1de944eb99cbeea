"""Configs as data: what stands there is what is read; nothing stands twice, grows, or is no text file."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.plain_data import PlainDataError, checked, from_json, from_yaml, to_yaml
from minidisc_plugin.run.config.file import read_config

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]))
DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)

PAIRS = list(zip("abcdefgh", "bcdefghi", strict=True))
LAUGHS = "\n".join(
    ["a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    + [f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]" for old, new in PAIRS]
)
MERGED = "\n".join(
    ["a: &a {x: 1}"]
    + [
        f"{new}: &{new} {{<<: [{', '.join([f'*{old}'] * 20)}]}}"
        for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    ]
)


@given(DATA)
def test_what_is_written_is_read_back(data: Any) -> None:
    assert from_yaml(to_yaml(data)) == data


@given(DATA.filter(lambda data: "Infinity" not in json.dumps(data)))
def test_json_is_read_as_it_stands(data: Any) -> None:
    assert from_json(json.dumps(data, ensure_ascii=False)) == data


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        (".5", 0.5),
        ("-.inf", float("-inf")),
        ("1_000", 1000),
        ("0x10", 16),
        ("0o10", 8),
        ("010", 10),
        ("no", False),
        ("~", None),
        ("2026-11-26", "2026-11-26"),
        ("2026-11-26 10:00:00", "2026-11-26 10:00:00"),
        ("1:30", "1:30"),
        ("12:30:45.5", "12:30:45.5"),
        ("=", "="),
        ("1.2.3", "1.2.3"),
        ("!!str 5", "5"),
        ("!!int '5'", 5),
    ],
)
def test_plain_values(text: str, value: object) -> None:
    found = from_yaml(text)
    assert found == value and type(found) is type(value)


def test_aliases_and_merge_keys_work() -> None:
    text = "base: &base {x: 1, y: 2}\nother: {<<: *base, y: 3}\nagain: *base"
    assert from_yaml(text) == {"base": {"x": 1, "y": 2}, "other": {"x": 1, "y": 3}, "again": {"x": 1, "y": 2}}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LAUGHS, "aliases make it larger"),
        (MERGED, "aliases make it larger"),
        (f"a: &a {'x' * 1000}\nb: &b [{', '.join(['*a'] * 1000)}]\nc: [{', '.join(['*b'] * 10)}]", "aliases make it"),
        ("a: &a [*a]", "in line 1 holds itself"),
        ("a: &a {b: *a}", "holds itself"),
        ("[" * 100_000, "levels deep"),
        ("a: " + "{b: " * 60 + "1" + "}" * 60, "levels deep"),
        ("- " * 3000 + "x", "levels deep"),
        ("? " * 3000 + "x", "levels deep"),
        ("a: 1\nb: 2\na: 3", "the key 'a' stands twice, in lines 1 and 3"),
        ("x: {seed: 1, seed: 2}", "the key 'seed' stands twice"),
        ("a: 1\n'a': 2", "the key 'a' stands twice"),
        ("a: &a {x: 1}\nb: {<<: *a, <<: *a}", "the key '<<' stands twice"),
        ("1: x", "the key '1' in line 1 is not a name"),
        ("null: x", "the key 'null' in line 1 is not a name"),
        ("on: x", "the key 'on'"),
        ("? [a, b]\n: x", "the key a list or mapping"),
        ("a: !!set {x, y}", "the tag 'set'"),
        ("a: !!binary aGFsbG8=", "the tag 'binary'"),
        ("a: !!timestamp 2026-11-26", "the tag 'timestamp'"),
        ("a: !!omap [x: 1]", "the tag 'omap'"),
        ("a: !!python/object/apply:os.system [true]", "the tag 'python/object/apply:os.system'"),
        ("a: !mine 1", "the tag '!mine'"),
        ("a: !!bool maybe", "not valid yaml"),
        ("a: !!int ''", "not valid yaml"),
        ("a: !!float x", "not valid yaml"),
        ("a: !!map x", "not valid yaml"),
        (f"a: {'1' * 10_000}", "more than 64 bits"),
        (f"a: 0x{'f' * 10_000}", "more than 64 bits"),
        (f"a: -{'9' * 30}", "more than 64 bits"),
        ("a:\tb: 1", "not valid yaml"),
        ("\ta: 1", "not valid yaml"),
        ("a: 1\n---\nb: 2", "not valid yaml"),
        ("a: x\0y", "not valid yaml"),
        ('a: "\\ud800"', "half of a surrogate pair"),
        ('"\\ud800": 1', "half of a surrogate pair"),
        ("a: *nowhere", "not valid yaml"),
        ("a: %x", "not valid yaml"),
    ],
)
def test_yaml_that_is_refused(text: str, reason: str) -> None:
    started = time.perf_counter()
    with pytest.raises(PlainDataError) as caught:
        from_yaml(text)
    assert reason in str(caught.value) and "\n" not in str(caught.value)
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1, "a": 2}', "the key 'a' stands twice"),
        ('{"x": {"b": 1, "b": 1}}', "the key 'b' stands twice"),
        ('{"a": NaN}', "NaN is no number of JSON"),
        ('{"a": -Infinity}', "-Infinity is no number of JSON"),
        ("[" * 100_000, "levels deep"),
        ('{"a":' * 60 + "1" + "}" * 60, "levels deep"),
        (f'{{"a": {"1" * 10_000}}}', "more than 64 bits"),
        ('{"a": "\\ud800"}', "half of a surrogate pair"),
        ("{'a': 1}", "not valid json"),
        ('{"a": 1} {"b": 2}', "not valid json"),
        ("", "not valid json"),
    ],
)
def test_json_that_is_refused(text: str, reason: str) -> None:
    with pytest.raises(PlainDataError) as caught:
        from_json(text)
    assert reason in str(caught.value) and "\n" not in str(caught.value)


def test_data_that_was_built_deep_is_refused() -> None:
    data: Any = 1
    for _ in range(5000):
        data = [data]
    with pytest.raises(PlainDataError, match="levels deep"):
        checked(data)


def refused(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read_config(path, overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(str(tmp_path / "socket"))
    bound.close()
    assert "is a directory" in refused(tmp_path)
    assert "is a pipe" in refused(tmp_path / "pipe")
    assert "is a socket" in refused(tmp_path / "socket")
    assert "is a device" in refused(Path("/dev/zero"))
    assert "embedded null" in refused(Path("a\0b"))
    assert "File name too long" in refused(tmp_path / ("x" * 300))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"# " + b"x" * 2**20, "is larger than 1024 KiB"),
        ("model: größe".encode("latin-1"), "not a text file in UTF-8"),
        ("model: x".encode("utf-16"), "not a text file in UTF-8"),
        ("model: x".encode("utf-16-le"), "not valid yaml"),
        (b"", "expected keys and values"),
        (b"- a", "expected keys and values"),
        (b"'\x1b[31m': 1", "special characters are not allowed"),
        (b'"\\x1b[31mred\\n\\0": 1', "\\x1b[31mred \\x00: unknown key"),
        (b'{neural_compressor_version: "3", optimum_version: "2", pruning: 7}', "not an inc_config.json"),
    ],
)
def test_files_that_are_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    assert reason in refused(tmp_path / "a.yaml")


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    for name, text in (("a.yaml", "lamda: 1"), ("a.json", '{"lamda": 1}')):
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
        assert "lamda: unknown key" in refused(tmp_path / name)


def test_values_of_the_command_line_are_read_as_carefully(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("model: x", encoding="utf-8")
    assert "levels deep" in refused(tmp_path / "a.yaml", "dataset=" + "[" * 5000)
    assert "levels deep" in refused(tmp_path / "a.yaml", ".".join(["training"] + ["a"] * 5000) + "=1")
    assert "stands twice" in refused(tmp_path / "a.yaml", "dataset={path: a, path: b}")
    assert "more than 64 bits" in refused(tmp_path / "a.yaml", "max_length=" + "1" * 5000)
    assert "special characters" in refused(tmp_path / "a.yaml", "max_length=\x1b[31m")
    assert "\x1b" not in refused(tmp_path / "a.yaml", "\x1b[31mred=1")
    assert len(refused(tmp_path / "a.yaml", "max_length=" + "x" * 100_000)) < 2000
