"""An objective that weighs domains: their column, batches with a share of each, and runs by it."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from minidisc_plugin import CompressionConfig, compress
from minidisc_plugin.contracts.objective import DOMAIN
from minidisc_plugin.foundation.errors import MinidiscError
from minidisc_plugin.run.preparation import prepare
from minidisc_plugin.training.batches import GlobalBatches, OptimizerStep, Share
from minidisc_plugin.training.domain_batches import domain_batches
from minidisc_plugin.training.own_network import NAME
from tests.builders.tiny import make_bert, make_config, make_tokenizer, write_csv

KINDS = ["film", "shop", "film", "news", "film", "shop", "film"]


@pytest.fixture(scope="session")
def domain_files(run_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a run, whose texts are of three domains, not as many of each."""
    folder = tmp_path_factory.mktemp("domains")
    for name in ("train", "validation", "test"):
        with (run_files / f"{name}.csv").open(encoding="utf-8") as file:
            rows = [{**row, "kind": KINDS[place % len(KINDS)]} for place, row in enumerate(csv.DictReader(file))]
        write_csv(folder / f"{name}.csv", rows)
    (folder / "teacher").symlink_to(run_files / "teacher")
    return folder


def make_run(files: Path, out: Path, **changes: Any) -> CompressionConfig:
    data = make_config(files, trainer="transformers", output_dir=str(out))
    data["dataset"] |= {"domain": "kind"}
    data["distillation"] = {"objective": "hrkd"}
    for key, value in changes.items():
        held = data.get(key)
        data[key] = {**held, **value} if isinstance(held, dict) else value
    data["dataset"] = {key: value for key, value in data["dataset"].items() if value is not None}
    return CompressionConfig.model_validate(data)


@pytest.mark.parametrize("scheduler", ["direct", pytest.param("minidisc", marks=pytest.mark.slow)])
def test_a_student_learns_of_all_domains(scheduler: str, domain_files: Path, tmp_path: Path) -> None:
    training = {"num_train_epochs": 4, "learning_rate": 2e-3}
    result = compress(make_run(domain_files, tmp_path / "out", scheduler=scheduler, training=training))
    student = result.results.row("student")
    assert student is not None and student.metric is not None and student.metric > 0.9
    names = load_file(tmp_path / "out" / "student" / "model.safetensors").keys()
    assert not any(NAME in name for name in names)


@pytest.mark.parametrize(
    ("training", "others"),
    [
        ({"gradient_accumulation_steps": 2, "gradient_checkpointing": True}, {}),
        pytest.param(
            {"bf16": True}, {"distillation": {"guide": "both"}, "scheduler": "minidisc"}, marks=pytest.mark.slow
        ),
        pytest.param({}, {"engine": {"weights": "bfloat16", "dropout": True}}, marks=pytest.mark.slow),
        pytest.param({}, {"distillation": {"augment": 1}}, marks=pytest.mark.slow),
    ],
)
def test_a_step_in_other_ways(
    training: dict[str, Any], others: dict[str, Any], domain_files: Path, tmp_path: Path
) -> None:
    training = {"use_cpu": True, **training}
    config = make_run(domain_files, tmp_path / "out", **{"scheduler": "direct", **others, "training": training})
    assert compress(config).results.row("student") is not None


def test_further_texts_have_domains_too(domain_files: Path, tmp_path: Path) -> None:
    with (domain_files / "train.csv").open(encoding="utf-8") as file:
        rows = [{"sentence": row["sentence"], "kind": "chat"} for row in csv.DictReader(file)]
    files = {name: str(domain_files / f"{name}.csv") for name in ("train", "validation", "test")}
    data = {"data_files": {**files, "unlabelled": str(tmp_path / "more.csv")}}
    write_csv(tmp_path / "more.csv", rows)
    prepared = prepare(make_run(domain_files, tmp_path / "out", dataset=data), tmp_path / "checkpoints")
    assert prepared.splits.further is not None
    assert set(prepared.splits.further[DOMAIN]) == {0} and set(prepared.splits.train[DOMAIN]) == {1, 2, 3}
    write_csv(tmp_path / "more.csv", [{"sentence": row["sentence"]} for row in rows])
    with pytest.raises(MinidiscError, match=r"^dataset.domain: column 'kind' is not in split 'unlabelled'"):
        prepare(make_run(domain_files, tmp_path / "out", dataset=data), tmp_path / "checkpoints")


def test_other_domains_are_other_data(domain_files: Path, tmp_path: Path) -> None:
    with (domain_files / "train.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    files = {name: str(domain_files / f"{name}.csv") for name in ("validation", "test")}
    data = {"data_files": {"train": str(tmp_path / "train.csv"), **files}}
    write_csv(tmp_path / "train.csv", rows)
    config = make_run(domain_files, tmp_path / "out", scheduler="direct", dataset=data)
    compress(config)
    assert compress(config, resume=True).results.row("student") is not None
    write_csv(tmp_path / "train.csv", [{**row, "kind": row["kind"][::-1]} for row in rows[:9]] + rows[9:])
    with pytest.raises(MinidiscError, match=r"with another dataset .*train"):
        compress(config, resume=True)


@pytest.mark.slow
def test_several_labels(domain_files: Path, tmp_path: Path) -> None:
    model = make_bert(labels=3, problem_type="multi_label_classification")
    make_tokenizer(tmp_path)
    model.save_pretrained(tmp_path)
    for name in ("train", "validation", "test"):
        with (domain_files / f"{name}.csv").open(encoding="utf-8") as file:
            rows = [
                {**row, "label": [place % 3] if place % 2 else [0, 2]} for place, row in enumerate(csv.DictReader(file))
            ]
        (tmp_path / f"{name}.json").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    files = {name: str(tmp_path / f"{name}.json") for name in ("train", "validation", "test")}
    changes = {"model": str(tmp_path), "metric": "f1", "dataset": {"path": "json", "data_files": files}}
    result = compress(make_run(domain_files, tmp_path / "out", scheduler="direct", **changes))
    assert result.results.row("student") is not None


def test_domains_by_number(domain_files: Path, tmp_path: Path) -> None:
    prepared = prepare(make_run(domain_files, tmp_path / "out", distillation={"augment": 1}), tmp_path / "checkpoints")
    splits = prepared.splits
    assert splits.further is not None
    found = [splits.train[DOMAIN].count(number) for number in range(3)]  # film, news, shop
    assert found[0] > found[2] > found[1] > 0 and sum(found) == len(splits.train)
    assert list(splits.train[DOMAIN]) == list(splits.further[DOMAIN])
    assert DOMAIN not in {*splits.selection.column_names, *splits.report.column_names}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"dataset": {"domain": "kinds"}}, "dataset.domain: column 'kinds' is not in split 'train'; columns: "),
        ({"dataset": {"domain": None}}, "distillation.objective: 'hrkd' weighs domains: name the column"),
        (
            {"distillation": {"objective": "minidisc"}},
            "dataset.domain: 'kind' does nothing with distillation.obj",
        ),
        ({"training": {"per_device_train_batch_size": 2}}, "a batch of 2 has no text of each of the 3 domains"),
        ({"engine": {"tokens_per_batch": 512}}, "engine.tokens_per_batch: 512 beside distillation.objective: hrkd"),
        ({"engine": {"teacher_cache": True}}, "engine.teacher_cache: true: attention weights"),
        ({"task": "token-classification"}, "'hrkd' is for task text-classification, not for token-classification"),
        ({"trainer": "inc"}, "trainer: 'inc' has no place for what distillation.objective: hrkd"),
    ],
    ids=range(8),
)
def test_what_is_refused(changes: dict[str, Any], told: str, domain_files: Path, tmp_path: Path) -> None:
    with pytest.raises(MinidiscError) as caught:
        compress(make_run(domain_files, tmp_path / "out", **changes))
    assert told in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("value", "told"),
    [("film", "holds one value, 'film', and domains are weighed"), ("", "row 4 of column 'kind' of split 'train'")],
)
def test_domains_that_say_nothing(value: str, told: str, domain_files: Path, tmp_path: Path) -> None:
    with (domain_files / "train.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for place, row in enumerate(rows):
        if value or place == 4:
            row["kind"] = value
    write_csv(tmp_path / "train.csv", rows)
    files = {name: str(domain_files / f"{name}.csv") for name in ("validation", "test")}
    with pytest.raises(MinidiscError) as caught:
        data = {"data_files": {"train": str(tmp_path / "train.csv"), **files}}
        compress(make_run(domain_files, tmp_path / "out", dataset=data))
    assert told in str(caught.value)


@given(
    domains=st.lists(st.integers(0, 3), min_size=4, max_size=60).map(lambda found: [0, 1, 2, 3, *found]),
    size=st.integers(4, 17),
    count=st.integers(1, 12),
    group=st.integers(1, 5),
)
def test_each_batch_has_a_share_of_every_domain(domains: list[int], size: int, count: int, group: int) -> None:
    lengths = [3 + place % 7 for place in range(len(domains))]
    found = domain_batches(domains, size, count, random.Random(0), lengths, group)
    assert [len(batch) for batch in found] == [size] * count
    drawn = [0] * len(domains)
    for batch in found:
        shares = [sum(domains[place] == kind for place in batch) for kind in range(4)]
        assert max(shares) - min(shares) <= 1
        for processes in range(1, size // 4 + 1):
            parts = [batch[rank::processes] for rank in range(processes)]
            assert all({domains[place] for place in part} == {0, 1, 2, 3} for part in parts)
        for place in batch:
            drawn[place] += 1
    for kind in range(4):  # all of a domain are seen before one comes again
        times = [drawn[place] for place, one in enumerate(domains) if one == kind]
        assert max(times) - min(times) <= 1


def test_an_epoch_is_as_long_as_it_was_and_the_same_in_all_processes() -> None:
    domains = [0] * 50 + [1] * 20 + [2] * 7
    lengths = [5 + place % 11 for place in range(77)]

    def batches(share: Share | None = None, epoch: int = 0) -> list[list[int]]:
        found = GlobalBatches(lengths, 12, 3, step=OptimizerStep(2, whole=True), share=share)
        found.domains = domains
        found.set_epoch(epoch)
        return list(found)

    whole = batches()
    assert len(whole) == 8 and whole == batches() and whole != batches(epoch=1)
    halves = zip(batches(Share(0, 2)), batches(Share(1, 2)), strict=True)
    assert [sorted(one + other) for one, other in halves] == [sorted(batch) for batch in whole]
