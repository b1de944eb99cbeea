"""Secrets of a config: in no file that a run writes, in no message, and still there for the run itself."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from minidisc_plugin import CompressionConfig, compress, hookimpl
from minidisc_plugin.cli import main
from minidisc_plugin.foundation import redaction
from minidisc_plugin.foundation.errors import ConfigError, DataError
from minidisc_plugin.plugins import host
from minidisc_plugin.run.config.file import read_config
from minidisc_plugin.run.config.written import check_whole, plain, to_yaml
from minidisc_plugin.run.reporting.card import _public
from minidisc_plugin.run.reporting.console import SafeFormatter
from tests.builders.tiny import make_config

SECRET = "s3cr3t-Value"
SECRETS = """
hub_token push_to_hub_token token training.hub_token password api_key apiKey clientSecret key_id sas auth account_key
aws_secret_access_key access_key connection_string Authorization X-Amz-Signature WANDB_API_KEY private-key credentials
"""
OTHERS = """
tokenizer tokens_per_batch include_tokens_per_second pad_token eos_token additional_special_token model keys label
include_num_input_tokens_seen pad_token_id author secretary signatures
"""


@pytest.fixture(autouse=True)
def nothing_met() -> Iterator[None]:
    """What other tests met stays out of this one."""
    before = set(redaction._met)
    redaction._met.clear()
    yield
    redaction._met.clear()
    redaction._met.update(before)


@pytest.mark.parametrize("key", SECRETS.split())
def test_keys_of_secrets(key: str) -> None:
    assert redaction.names_secret(key)


@pytest.mark.parametrize("key", OTHERS.split())
def test_keys_of_no_secrets(key: str) -> None:
    assert not redaction.names_secret(key)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"https://me:{SECRET}@host/a.csv", "https://***@host/a.csv"),
        (f"https://{SECRET}@host/a.csv", "https://***@host/a.csv"),
        (f"git+https://{SECRET}@host/a", "git+https://***@host/a"),
        (f"s3://id:{SECRET}@bucket/a.csv", "s3://***@bucket/a.csv"),
        ("abfs://container@account/a.csv", "abfs://container@account/a.csv"),
        ("hf://datasets/me/data@main/a.csv", "hf://datasets/me/data@main/a.csv"),
        (f"https://host/a.csv?v=1&token={SECRET}", "https://host/a.csv?v=1&token=***"),
        (f"https://host/a.csv?sig={SECRET}#x", "https://host/a.csv?sig=***#x"),
        (f"https://host/a?X-Amz-Signature={SECRET}&b=1", "https://host/a?X-Amz-Signature=***&b=1"),
        ("token hf_abcdefghijklmnopqrstuvwxyz refused", "token *** refused"),
        ("mail me@host, see a://b and c@d", "mail me@host, see a://b and c@d"),
    ],
)
def test_secrets_in_text(text: str, found: str) -> None:
    assert redaction.masked(text) == found
    assert redaction.masked(found) == found


def secret_config(folder: Path) -> dict[str, Any]:
    data = make_config(folder)
    data["training"]["hub_token"] = SECRET
    data["metric"] = {"name": "accuracy", "options": {"api_key": SECRET, "nested": [{"password": 123456}]}}
    data["dataset"]["data_files"]["train"] = f"https://me:{SECRET}@host/train.csv"
    data["scheduler_config"]["storage_options"] = {"key": SECRET}
    return data


def test_the_resolved_config_holds_none(tmp_path: Path) -> None:
    config = CompressionConfig.model_validate(secret_config(tmp_path))
    text = to_yaml(config)
    assert SECRET not in text and "123456" not in text
    held = yaml.safe_load(text)
    assert "hub_token" not in held["training"]
    assert held["metric"]["options"] == {"api_key": "***", "nested": [{"password": "***"}]}
    assert held["scheduler_config"]["storage_options"] == "***"
    assert held["dataset"]["data_files"]["train"] == "https://***@host/train.csv"
    assert config.training["hub_token"] == SECRET


def test_what_was_written_equals_what_was_given_and_is_refused_as_it_stands(tmp_path: Path) -> None:
    config = CompressionConfig.model_validate(secret_config(tmp_path))
    (tmp_path / "resolved.yaml").write_text(to_yaml(config), encoding="utf-8")
    written = read_config(tmp_path / "resolved.yaml")
    assert plain(written, marked=False) == plain(config, marked=False)
    check_whole(config)
    for key in ("dataset.data_files.train", "metric.options.api_key", "metric.options.nested.password"):
        with pytest.raises(ConfigError, match=rf"^{key}: '\*\*\*' stands where a secret was left out"):
            check_whole(written)
        section, _, *rest = key.split(".")
        holder = getattr(written, section)
        if rest == ["train"]:
            holder.data_files["train"] = "train.csv"
        else:
            del holder.options[rest[0]]
    with pytest.raises(ConfigError, match=r"^scheduler_config.storage_options"):
        check_whole(written)


def test_messages_hold_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = secret_config(tmp_path)
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    wrong = [f"hub_token={SECRET}", f"training.hub_token.x={SECRET}", f"max_length={SECRET}"]
    wrong += [f"training={SECRET}", f"dataset.data_files={{a: {{b: 'https://me:{SECRET}@host'}}}}", "training.token"]
    wrong += [f"training={{hub_token: {SECRET}", f"training={{hub_token: {SECRET}: x}}"]
    for override in wrong:
        assert main(["plan", str(file), "--set", override]) == 2
        printed = capsys.readouterr()
        assert SECRET not in printed.err + printed.out and printed.err.count("\n") == 1
    for text in (f"training:\n  hub_token: {SECRET}: x\n", f"hub_token: '{SECRET}\n", f"hub_token: {SECRET}\n\tx: 1\n"):
        file.write_text(text, encoding="utf-8")
        assert main(["plan", str(file)]) == 2
        printed = capsys.readouterr().err
        assert SECRET not in printed and "line " in printed
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    read_config(file)
    assert str(DataError(f"the host said: Bearer {SECRET} refused")) == "the host said: Bearer *** refused"
    assert SECRET not in repr(DataError(f"the host said: Bearer {SECRET} refused"))


def test_logs_hold_none(tmp_path: Path) -> None:
    redaction.remember({"training": {"hub_token": SECRET}})
    record = logging.LogRecord("x", logging.INFO, "", 0, "sent %s\x1b[31m", (SECRET,), None)
    assert SafeFormatter("%(message)s").format(record) == "sent ***\\x1b[31m"


def test_the_card_names_no_credentials() -> None:
    assert _public(f"https://me:{SECRET}@host/a.csv?token={SECRET}") == "a.csv?token=***"


def test_a_run_keeps_none_and_resumes_without(run_files: Path, tmp_path: Path) -> None:
    """No file of a run holds a secret at the end of any stage, nor afterwards."""
    found: list[Path] = []

    def search(folder: Path) -> None:
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert files
        found.extend(path for path in files if SECRET.encode() in path.read_bytes())

    class Searcher:
        @hookimpl
        def minidisc_stage_finished(self, output_dir: Path) -> None:
            search(output_dir.parent)

    data = make_config(run_files, output_dir=str(tmp_path / "out"), scheduler="direct", scheduler_config={})
    token = {**data["training"], "hub_token": SECRET}
    host().manager.register(Searcher(), "searcher")
    try:
        compress(CompressionConfig.model_validate({**data, "training": token}))
    finally:
        host().manager.unregister(name="searcher")
    search(tmp_path / "out")
    assert not found
    compress(CompressionConfig.model_validate(data), resume=True)
    compress(tmp_path / "out" / "config.resolved.yaml", resume=True)
