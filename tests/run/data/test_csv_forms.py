"""CSV files of every form, packed or not: no cell moves to another column, and none is made up."""

from __future__ import annotations

import bz2
import gzip
import lzma
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import datasets
import pytest

from minidisc_plugin.foundation.errors import ConfigError, DataError, MinidiscError
from minidisc_plugin.run.data.reading import read_dataset
from tests.run.data.test_reading import read, refused, section

LONG, SHORT = "text,label\nx,a,1\ny,b,0\n", "text,label\na,1\nb\n"
PACKED = {"a.csv.gz": gzip.compress, "a.csv.bz2": bz2.compress, "a.csv.xz": lzma.compress}


@pytest.mark.parametrize("name", PACKED)
def test_packed_files_are_looked_through(name: str, tmp_path: Path) -> None:
    assert "line 2" in (message := refused(tmp_path, {name: PACKED[name](LONG.encode())})) and name in message
    assert "line 3" in refused(tmp_path, {name: PACKED[name](SHORT.encode())})
    latin = refused(tmp_path, {name: PACKED[name]("text,label\nd\xe9j\xe0,1\n".encode("latin-1"))})
    assert "not in utf-8" in latin and name in latin
    assert read(tmp_path, {name: PACKED[name](b"text,label\nnull,1\n")})["train"][0] == {"text": "null", "label": "1"}


@pytest.mark.parametrize(
    ("before", "options"),
    [
        ("note\n", {"skiprows": 1}),
        ("note\n", {"header": 1}),
        ("note\n", {"skiprows": [0]}),
        ("", {"nrows": 5}),
        ("# note\n", {"comment": "#"}),
        ("", {"engine": "python"}),
        ("", {"encoding_errors": "replace"}),
        ("", {"dialect": "excel"}),
        ("", {"names": ["text", "label"], "header": 0}),
    ],
    ids=str,
)
def test_rows_of_another_length_are_refused(before: str, options: dict[str, Any], tmp_path: Path) -> None:
    for content in (LONG, SHORT):
        assert "a.csv" in refused(tmp_path, {"a.csv": before + content}, options=options)
    found = read(tmp_path, {"b.csv": before + "text,label\nnull,1\n"}, options=options)["train"]
    assert found.to_list() == [{"text": "null", "label": "1"}]


@pytest.mark.parametrize("separator", ["::", r"\t", r"\s+"])
def test_separators_of_several_characters(separator: str, tmp_path: Path) -> None:
    written = {r"\t": "\t", r"\s+": "  "}.get(separator, separator)
    for content in (LONG, SHORT):
        message = refused(tmp_path, {"a.csv": content.replace(",", written)}, options={"sep": separator})
        assert "a.csv" in message and "field" in message
    assert "engine: c" in refused(tmp_path, {"a.csv": ""}, ConfigError, options={"sep": separator, "engine": "c"})


def test_rows_of_another_end(tmp_path: Path) -> None:
    options = {"lineterminator": "|"}
    assert len(read(tmp_path, {"a.csv": "text,label|a,1|b,0|"}, options=options)["train"]) == 2
    assert "1 field" in refused(tmp_path, {"a.csv": "text,label|a,1|b|"}, options=options)


def test_columns_of_one_file_only(tmp_path: Path) -> None:
    plain, more = "text,label\na,1\n", "note,text,label\nx,b,0\n"
    for files in ({"a.csv": plain, "b.csv": more}, {"b.csv": more, "a.csv": plain}):
        found = read(tmp_path, files)
        assert {found[split].column_names[-1] for split in found} == {"label"}
        assert {str(found[split].column_names) for split in found} == {"['text', 'label']"}
    message = refused(tmp_path, {"a.csv": plain, "c.csv": "Text,label\na,1\n"})
    assert "c.csv has no column 'text', which" in message and "a.csv has" in message and "Text, label" in message


@pytest.mark.parametrize("options", [{}, {"sep": "::"}])
def test_a_line_of_names_alone(options: dict[str, Any], tmp_path: Path) -> None:
    content = f"text{options.get('sep', ',')}label\n"
    assert "a.csv has no rows" in refused(tmp_path, {"a.csv": content}, options=options)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sep", ""),
        ("sep", [","]),
        ("sep", None),
        ("column_names", 5),
        ("names", ["text", "text"]),
        ("nrows", "x"),
        ("nrows", 0),
        ("engine", 5),
        ("engine", "pyarrow"),
        ("header", [0, 1]),
        ("header", "x"),
        ("encoding", "base64"),
        ("encoding", 5),
        ("encoding_errors", "surrogateescape"),
        ("skiprows", -1),
        ("quoting", 2),
        ("quotechar", "ab"),
        ("chunksize", 0),
        ("on_bad_lines", "x"),
        ("skipfooter", 1),
        ("prefix", "x"),
    ],
)
def test_values_of_options_that_cannot_be_used(key: str, value: Any, tmp_path: Path) -> None:
    message = refused(tmp_path, {"a.csv": "text,label\na,1\n"}, MinidiscError, options={key: value})
    assert message.startswith(f"dataset.options.{key}: ")
    assert repr(value) in message or "remove it" in message


@pytest.mark.parametrize(("first", "second"), [("sep", "delimiter"), ("column_names", "names")])
def test_two_options_for_one_thing(first: str, second: str, tmp_path: Path) -> None:
    value = [["text", "label"], ","][first == "sep"]
    message = refused(tmp_path, {"a.csv": "a,1\n"}, ConfigError, options={first: value, second: value})
    assert f"dataset.options.{second}: dataset.options.{first} is given, too" in message


@pytest.mark.parametrize("key", ["chunksize", "on_mixed_types", "use_threads"])
def test_options_of_json_that_do_nothing(key: str, tmp_path: Path) -> None:
    content = {"a.json": '{"text": "a", "label": 1}\n'}
    message = refused(tmp_path, content, ConfigError, path="json", options={key: 1})
    assert message.startswith(f"dataset.options.{key}: ")


def test_rows_that_pandas_skips_by_another_count(tmp_path: Path) -> None:
    content = '"note\nof two lines"\na,1\nb,0\nc,1\n'
    names = ["text", "label"]
    message = refused(tmp_path, {"a.csv": content}, options={"names": names, "skiprows": 2})
    assert "have 3 rows" in message and "read 2" in message
    assert len(
        read(tmp_path, {"b.csv": content.replace("\nof", " of")}, options={"names": names, "skiprows": 1})["train"]
    )


def test_files_that_an_archive_hides(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.csv", "text,label\na,1\n")
        archive.writestr("__MACOSX/._a.csv", b"\0")
    assert len(read_dataset(section("csv", {"train": str(tmp_path / "a.zip")}))[0]["train"]) == 1


def test_what_the_card_of_a_folder_says_is_obeyed(tmp_path: Path) -> None:
    card = "---\nconfigs:\n- config_name: default\n  sep: ';'\n  data_files: [{split: train, path: train.csv}]\n---\n"
    (tmp_path / "README.md").write_text(card)
    (tmp_path / "train.csv").write_text("text;label\nnull, or so;1\n")
    assert read_dataset(section(str(tmp_path)))[0]["train"].to_list() == [{"text": "null, or so", "label": "1"}]
    (tmp_path / "train.csv").write_text("text;label\nx;a;1\n")
    with pytest.raises(DataError, match="3 fields"):
        read_dataset(section(str(tmp_path)))


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def site(folder: Path) -> Iterator[str]:
    """The address of a folder, served on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_files_of_the_network_are_looked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)  # this machine is no Hub
    files = {"a.csv": LONG, "b.jsonl": '{"text": "2020-01-01", "label": 1}\n', "c.csv": "text,label\nnull,1\n"}
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with site(tmp_path) as address:
        keys = {"cache_dir": str(tmp_path / "cache")}
        with pytest.raises(DataError, match=r"line 2 of http.*3 fields"):
            read_dataset(section("csv", {"train": f"{address}/a.csv"}, **keys))
        for path, name, text in (("json", "b.jsonl", "2020-01-01"), ("csv", "c.csv", "null")):
            found = read_dataset(section(path, {"train": f"{address}/{name}"}, **keys))[0]
            assert found["train"]["text"] == [text]
