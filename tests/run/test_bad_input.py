"""Input that cannot be used: refused before anything is trained, with a message that names it, and no file left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import AutoTokenizer, BloomConfig, BloomForSequenceClassification

from minidisc_plugin import CompressionConfig, MinidiscError, compress, hookimpl
from minidisc_plugin.foundation.errors import (
    ConfigError,
    DataError,
    MetricError,
    RunDirectoryError,
    UnsupportedModelError,
)
from minidisc_plugin.plugins import host
from minidisc_plugin.plugins.schedulers import make_scheduler
from tests.builders.tiny import VOCABULARY, make_config, make_rows, write_csv

Change = Callable[[dict[str, Any], Path], None]


@pytest.fixture
def trained() -> Iterator[list[str]]:
    """Stages that ended while the test ran: none, when input is refused in time."""
    stages: list[str] = []

    class Listener:
        @hookimpl
        def minidisc_stage_finished(self, stage: str) -> None:
            stages.append(stage)

    listener = Listener()
    host().manager.register(listener)
    yield stages
    host().manager.unregister(listener)


def files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def top(**changes: Any) -> Change:
    """Keys of the top level."""
    return lambda data, _: data.update(changes)


def within(section: str, **changes: Any) -> Change:
    """Keys of a section."""
    return lambda data, _: data[section].update(changes)


def lines(name: str) -> Change:
    """JSON lines for one split, whose texts are numbers."""

    def change(data: dict[str, Any], folder: Path) -> None:
        file = folder / f"{name}.jsonl"
        file.write_text('{"sentence": 12, "label": 0}\n{"sentence": 13, "label": 1}\n', encoding="utf-8")
        data["dataset"]["data_files"][name] = str(file)

    return change


def split(name: str, rows: list[dict[str, Any]] | str | bytes | None) -> Change:
    """Another file for one split; none at all."""

    def change(data: dict[str, Any], folder: Path) -> None:
        if rows is None:
            del data["dataset"]["data_files"][name]
            return
        file = folder / f"{name}.csv"
        if isinstance(rows, (str, bytes)):
            file.write_bytes(rows if isinstance(rows, bytes) else rows.encode())
        else:
            write_csv(file, rows)
        data["dataset"]["data_files"][name] = str(file)

    return change


def both(*changes: Change) -> Change:
    def change(data: dict[str, Any], folder: Path) -> None:
        for each in changes:
            each(data, folder)

    return change


def tokenizer(alter: Callable[[Any], None]) -> Change:
    """The teacher's tokenizer, altered, in a folder of its own."""

    def change(data: dict[str, Any], folder: Path) -> None:
        altered = AutoTokenizer.from_pretrained(data["model"])
        alter(altered)
        altered.save_pretrained(folder / "tokenizer")
        data["tokenizer"] = str(folder / "tokenizer")

    return change


def bloom(data: dict[str, Any], folder: Path) -> None:
    """A decoder of no family, with a tokenizer that fits it."""
    config = BloomConfig(vocab_size=len(VOCABULARY), hidden_size=32, n_head=4, n_layer=2, pad_token_id=0)
    BloomForSequenceClassification(config).save_pretrained(folder / "bloom")
    AutoTokenizer.from_pretrained(data["model"]).save_pretrained(folder / "bloom")
    data["model"] = str(folder / "bloom")


LONG = [{"sentence": "word1 " * 60, "label": 1}] * 30
CASES: dict[str, tuple[Change, type[MinidiscError], tuple[str, ...]]] = {
    "unknown key": (top(lamda=1), ConfigError, ("lamda: unknown key", "known keys")),
    "wrong type": (top(max_length="long"), ConfigError, ("max_length: 'long'", "integer")),
    "unknown scheduler": (top(scheduler="mindisc"), ConfigError, ("scheduler: 'mindisc'", "found: direct, ")),
    "unknown objective": (
        within("distillation", objective="x"),
        ConfigError,
        ("distillation.objective: 'x'", "minidisc"),
    ),
    "unknown step": (top(steps=["x"]), ConfigError, ("steps: 'x'", "found: ")),
    "a step that is there already": (top(steps=["report"]), ConfigError, ("steps: 'report'", "leave it out")),
    "candidate below the target": (
        within("scheduler_config", candidates=[0.5, 0.1]),
        ConfigError,
        ("scheduler_config.candidates: 0.1", "(0.2, 1)"),
    ),
    "candidate that is the student": (
        within("scheduler_config", candidates=[0.2]),
        ConfigError,
        ("scheduler_config.candidates: 0.2", "(0.2, 1)"),
    ),
    "candidate that is the teacher": (
        within("scheduler_config", candidates=[1.0]),
        ConfigError,
        ("scheduler_config.candidates: 1", "(0.2, 1)"),
    ),
    "more assistants than candidates": (
        within("scheduler_config", assistants=3),
        ConfigError,
        ("scheduler_config.assistants: 3 of 2", "add candidates"),
    ),
    "fixed scale as large as the teacher": (
        both(top(scheduler="fixed"), within("scheduler_config", scale=1.0)),
        ConfigError,
        ("scheduler_config.scale: 1 ", "(0.2)"),
    ),
    "no room for the capacity-gap rule": (
        both(top(scheduler="fixed"), within("pruning", target_sparsity=0.5)),
        ConfigError,
        ("scheduler_config.scale: 1.25", "2.5 times"),
    ),
    "sparsity in the wrong place": (
        within("scheduler_config", target_sparsity=0.5),
        ConfigError,
        ("scheduler_config.target_sparsity", "pruning.target_sparsity"),
    ),
    "label column missing": (
        within("dataset", label="lab"),
        DataError,
        ("dataset.label: column 'lab'", "sentence, label"),
    ),
    "text column missing": (
        within("dataset", text=["lab"]),
        DataError,
        ("dataset.text: column 'lab'", "sentence, label"),
    ),
    "label not of the model": (
        split("test", [{"sentence": "good", "label": 2}]),
        DataError,
        ("dataset.label: 2", "'test'", "has 2: LABEL_0, LABEL_1"),
    ),
    "label left empty": (
        split("test", "sentence,label\ngood,\nbad,1\n"),
        DataError,
        ("dataset.label: row 0 ", "'test'", "has none"),
    ),
    "text column of numbers": (
        both(within("dataset", path="json"), *(lines(name) for name in ("train", "validation", "test"))),
        DataError,
        ("dataset.text: column 'sentence'", "int64, not text"),
    ),
    "reported split that is trained on": (
        within("dataset", test_split="train"),
        DataError,
        ("dataset.test_split: 'train'", "trained on", "another split"),
    ),
    "validation split that is trained on": (
        within("dataset", validation_split="train"),
        DataError,
        ("dataset.validation_split: 'train'", "trained on", "another split"),
    ),
    "test split trained on, and nothing else to report": (
        both(within("dataset", train_split="test"), split("validation", None), split("train", None)),
        DataError,
        ("neither a test nor a validation split",),
    ),
    "unknown key of the loader": (
        within("dataset", options={"seperator": ";"}),
        ConfigError,
        ("dataset.options.seperator: unknown key",),
    ),
    "file in another encoding": (
        split("test", "sentence,label\ngood,1\nd\xe9j\xe0,1\n".encode("latin-1")),
        DataError,
        ("test.csv is not in utf-8", "line 3", "latin-1"),
    ),
    "hidden labels": (
        split("test", "sentence,label\ngood,-1\nbad,-1\n"),
        DataError,
        ("dataset.label: ", "'test'", "hidden"),
    ),
    "empty split": (split("test", "sentence,label\n"), DataError, ("test.csv has no rows",)),
    "split that is not there": (
        within("dataset", train_split="trian"),
        DataError,
        ("dataset.train_split: 'trian'", "train"),
    ),
    "neither test nor validation": (
        both(split("test", None), split("validation", None)),
        DataError,
        ("neither a test nor a validation split", "data_files"),
    ),
    "early stopping without validation": (
        both(split("validation", None), top(early_stopping_patience=2)),
        DataError,
        ("early_stopping_patience", "no validation split", "remove the key"),
    ),
    "nothing left to train on": (split("train", make_rows(1, seed=0)), DataError, ("selection_size: 0.1 of 1",)),
    "data file missing": (
        lambda data, folder: data["dataset"]["data_files"].update(train=str(folder / "none.csv")),
        DataError,
        ("dataset.data_files: 'csv'", "none.csv"),
    ),
    "examples longer than the model": (split("train", LONG), ConfigError, ("max_length: 128", "62", "max_length: 32")),
    "tokenizer with too many tokens": (
        tokenizer(lambda found: found.add_tokens(["one", "more"])),
        ConfigError,
        (f"{len(VOCABULARY) + 2} tokens", f"embeds {len(VOCABULARY)}"),
    ),
    "tokenizer that pads with another id": (
        tokenizer(lambda found: found.add_special_tokens({"pad_token": "[MASK]"})),
        ConfigError,
        ("pads with id 4 but the model with 0", "trained with"),
    ),
    "unsupported architecture": (
        bloom,
        UnsupportedModelError,
        ("no family is declared for BloomForSequenceClassification (bloom)", "h.0.self_attention.dense: another order"),
    ),
    "model folder missing": (top(model="no/such/folder"), ConfigError, ("model: 'no/such/folder' cannot be loaded",)),
    "metric unknown off line": (
        top(metric="acuracy"),
        MetricError,
        ("metric 'acuracy'", "accuracy, bits_saved, cer, f1, "),
    ),
    "metric range upside down": (
        top(metric={"name": "f1", "range": [1, 0]}),
        MetricError,
        ("[1.0, 0.0]", "low < high"),
    ),
    "metric option that does not fit": (
        top(metric={"name": "f1", "options": {"average": "largest"}}),
        MetricError,
        ("metric f1", "'largest'", "macro"),
    ),
    "unknown training key": (
        within("training", learnin_rate=1),
        ConfigError,
        ("training.learnin_rate", "'learning_rate'"),
    ),
    "training key of the pipeline": (
        within("training", output_dir="x"),
        ConfigError,
        ("training.output_dir", "remove it"),
    ),
    "training value in words": (
        within("training", learning_rate="low"),
        ConfigError,
        ("training.learning_rate: 'low'",),
    ),
    "no batches": (within("training", per_device_train_batch_size=0), ConfigError, ("batch_size: 0", "equal to 1")),
    "seed in words": (within("training", seed="lucky"), ConfigError, ("training.seed: 'lucky'", "valid integer")),
    "warm-up in words": (within("training", warmup_steps="10%"), ConfigError, ("training.warmup_steps: '10%'",)),
    "output below a file": (
        lambda data, folder: (
            data.update(output_dir=str(folder / "train.csv" / "out")) or split("train", LONG)(data, folder)
        ),
        RunDirectoryError,
        ("train.csv is a file", "another folder"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_refused_before_training_with_nothing_written(
    case: str, run_files: Path, tmp_path: Path, trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    change, error, parts = CASES[case]
    monkeypatch.chdir(tmp_path)
    data = make_config(run_files, output_dir=str(tmp_path / "out"), distillation={})
    change(data, tmp_path)
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    before = files(tmp_path), files(run_files)
    with pytest.raises(error) as caught:
        compress(file)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
    assert trained == [] and (files(tmp_path), files(run_files)) == before


def test_a_key_of_another_scheduler_is_passed_over(tmp_path: Path) -> None:
    keys = {"lambda": 0.3, "candidates": [0.5], "scale": 0.4, "sampling": "all"}
    for name, used in {
        "direct": set(),
        "fixed": {"scale"},
        "maxidisc": {"candidates"},
        "minidisc": {"lambda", "candidates", "sampling"},
    }.items():
        config = CompressionConfig.model_validate(make_config(tmp_path, scheduler=name, scheduler_config=keys))
        scheduler = make_scheduler(config.scheduler, config.scheduler_config, config.pruning.target_sparsity)
        settings = scheduler.model_dump(by_alias=True)
        assert {key for key in keys if settings.get(key) == keys[key]} == used


@pytest.mark.parametrize("scheduler", ["direct", "fixed", "maxidisc", "minidisc"])
@pytest.mark.parametrize(("key", "nearest"), [("lamda", "lambda"), ("lam", "lambda"), ("candidate", "candidates")])
def test_a_key_of_no_scheduler_names_the_nearest(scheduler: str, key: str, nearest: str, tmp_path: Path) -> None:
    config = CompressionConfig.model_validate(make_config(tmp_path, scheduler=scheduler, scheduler_config={key: 0.3}))
    with pytest.raises(ConfigError) as caught:
        make_scheduler(config.scheduler, config.scheduler_config, config.pruning.target_sparsity)
    assert str(caught.value) == f"scheduler_config.{key}: unknown key; did you mean {nearest!r}?"
