"""A metric that cannot choose, by its options, its range or a split's labels, is told before anything is trained."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.foundation.errors import ConfigError, MetricError
from minidisc_plugin.run.preparation import prepare
from tests.builders.tiny import make_config, make_run_files


@pytest.fixture(scope="module")
def regression_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("regression")
    make_run_files(folder, regression=True)
    return folder


def prepared(data: dict[str, Any], tmp_path: Path) -> None:
    prepare(CompressionConfig.model_validate(data), tmp_path / "checkpoints")


def with_labels(files: Path, tmp_path: Path, label: str, regression: bool, split: str = "test") -> dict[str, Any]:
    """The config of a run in which one split has this label throughout."""
    changed = tmp_path / f"{split}.csv"
    with (files / f"{split}.csv").open(encoding="utf-8", newline="") as read:
        rows = list(csv.DictReader(read))
    with changed.open("w", encoding="utf-8", newline="") as written:
        writer = csv.DictWriter(written, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "label": label} for row in rows)
    config = make_config(files, regression)
    config["dataset"]["data_files"][split] = str(changed)
    return config


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (
            {"name": "accuracy", "options": {"normalize": False}},
            r"^metric: accuracy with options \{'normalize': False\} grows with the number of examples \(2, and 4 for "
            r"twice as many\); choose options that give a share",
        ),
        (
            {"name": "accuracy", "range": [0, 100]},
            r"^metric.range: \[0, 100\], and accuracy is 1 where every .* right;",
        ),
        ({"name": "f1", "options": {"average": "micro"}, "range": [0, 2]}, r"^metric.range: \[0, 2\], and f1 with"),
        ({"name": "matthews_correlation", "range": [-100, 100]}, r"^metric.range: \[-100, 100\]"),
    ],
)
def test_options_and_ranges_that_do_not_fit(
    metric: dict[str, Any], message: str, run_files: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        prepared(make_config(run_files, metric=metric), tmp_path)


def test_options_for_one_number_of_examples_only(run_files: Path, tmp_path: Path) -> None:
    with pytest.raises(MetricError, match="metric accuracy with options"):
        prepared(make_config(run_files, metric={"name": "accuracy", "options": {"sample_weight": [1, 2]}}), tmp_path)
    with pytest.raises(MetricError, match=r"f1 with options .* choose metric.options that give one"):
        prepared(make_config(run_files, metric={"name": "f1", "options": {"average": None}}), tmp_path)


@pytest.mark.parametrize("metric", [{"name": "accuracy", "range": [0.5, 1]}, {"name": "f1", "range": [0, 1]}])
def test_a_range_that_ends_where_every_prediction_is_right(
    metric: dict[str, Any], run_files: Path, tmp_path: Path
) -> None:
    prepared(make_config(run_files, metric=metric), tmp_path)


@pytest.mark.parametrize(("label", "split"), [("-1", "test"), ("3.0", "test")])
def test_a_regression_split_whose_labels_are_all_alike(
    label: str, split: str, regression_files: Path, tmp_path: Path
) -> None:
    config = with_labels(regression_files, tmp_path, label, True, split)
    with pytest.raises(ConfigError, match=rf"the {split} split: pearsonr has no value .* \(all \d+ labels are"):
        prepared(config, tmp_path)
