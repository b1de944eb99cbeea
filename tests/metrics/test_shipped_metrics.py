"""The shipped modules against scikit-learn, scipy and written formulas, and their loading by `evaluate`."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

import minidisc_plugin.metrics
from minidisc_plugin.foundation.errors import MetricError
from minidisc_plugin.metrics import load_metric, result_key, shipped_metrics

FOLDER = Path(minidisc_plugin.metrics.__file__).parent
LIBRARIES = {
    "__future__",
    "datasets",
    "evaluate",
    "jiwer",
    "math",
    "minidisc_plugin",
    "numpy",
    "scipy",
    "re",
    "rouge_score",
    "sacrebleu",
    "string",
    "collections",
    "sklearn",
    "typing",
    "warnings",
}

binary_rows = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=40)
value_rows = st.lists(
    st.tuples(st.integers(-9, 9), st.integers(-9, 9)),
    min_size=3,
    max_size=40,
    unique_by=(lambda r: r[0], lambda r: r[1]),
)


def compute(name: str, predictions: Any, references: Any, **options: Any) -> Any:
    return load_metric(name).compute(predictions=predictions, references=references, **options)[name]


def test_what_is_shipped() -> None:
    of_classes, of_texts = (
        ["accuracy", "f1", "matthews_correlation", "seqeval"],
        ["cer", "rouge", "sacrebleu", "squad", "wer"],
    )
    assert shipped_metrics() == sorted([*of_classes, *of_texts, "bits_saved", "pearsonr", "spearmanr"])


@pytest.mark.parametrize("name", shipped_metrics())
def test_imports_are_read_right_by_evaluate(name: str) -> None:
    from evaluate.loading import get_imports

    imports = get_imports(str(FOLDER / name / f"{name}.py"))
    assert {kind for kind, *_ in imports} == {"library"}  # a local or GitHub import would be copied or fetched
    assert {library for _, library, *_ in imports} <= LIBRARIES


@settings(max_examples=25, deadline=None)
@given(binary_rows)
def test_classes(rows: list[tuple[int, int]]) -> None:
    predicted, labels = (list(column) for column in zip(*rows, strict=True))
    hits = {pair: rows.count(pair) for pair in [(0, 0), (0, 1), (1, 0), (1, 1)]}
    tn, fn, fp, tp = hits[0, 0], hits[0, 1], hits[1, 0], hits[1, 1]
    root = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))

    accuracy = compute("accuracy", predicted, labels)
    assert accuracy == pytest.approx((tp + tn) / len(rows))
    assert accuracy == sklearn.metrics.accuracy_score(labels, predicted)
    f1 = compute("f1", predicted, labels)
    assert f1 == pytest.approx(2 * tp / (2 * tp + fp + fn) if tp else 0.0)
    assert f1 == sklearn.metrics.f1_score(labels, predicted, zero_division=0.0)
    matthews = compute("matthews_correlation", predicted, labels)
    assert matthews == pytest.approx((tp * tn - fp * fn) / root if root else 0.0)
    assert matthews == sklearn.metrics.matthews_corrcoef(labels, predicted)


@settings(max_examples=25, deadline=None)
@given(value_rows)
def test_values(rows: list[tuple[int, int]]) -> None:
    predicted, labels = (np.array(column, dtype=float) / 2 for column in zip(*rows, strict=True))
    pearson = compute("pearsonr", predicted, labels)
    assert pearson == pytest.approx(np.corrcoef(predicted, labels)[0, 1])
    assert pearson == pytest.approx(scipy.stats.pearsonr(predicted, labels)[0])
    spearman = compute("spearmanr", predicted, labels)
    ranks = [column.argsort().argsort() for column in (predicted, labels)]  # no ties by construction
    assert spearman == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert spearman == pytest.approx(scipy.stats.spearmanr(predicted, labels)[0])


def test_options_of_the_public_modules() -> None:
    rng = np.random.default_rng(0)
    predicted, labels = rng.integers(0, 3, 50), rng.integers(0, 3, 50)
    weights = rng.random(50)
    for average in ("macro", "micro", "weighted"):
        expected = sklearn.metrics.f1_score(labels, predicted, average=average)
        assert compute("f1", predicted, labels, average=average) == expected
    by_class = sklearn.metrics.f1_score(labels, predicted, average=None)
    assert compute("f1", predicted, labels, average=None).tolist() == by_class.tolist()
    assert compute("accuracy", predicted, labels, normalize=False) == int((predicted == labels).sum())
    weighted = np.average(predicted == labels, weights=weights)
    assert compute("accuracy", predicted, labels, sample_weight=weights) == pytest.approx(weighted)

    x, y = rng.random(20), rng.random(20)
    pearson = load_metric("pearsonr").compute(predictions=x, references=y, return_pvalue=True)
    assert pearson["p-value"] == pytest.approx(scipy.stats.pearsonr(x, y)[1], rel=1e-3)
    spearman = load_metric("spearmanr").compute(predictions=x, references=y, return_pvalue=True)
    assert spearman["spearmanr_pvalue"] == pytest.approx(scipy.stats.spearmanr(x, y)[1], rel=1e-3)


@pytest.mark.parametrize(("predicted", "labels"), [([0, 1, 2], [0, 1, 1]), ([0, 0, 2], [0, 2, 2])])
def test_f1_of_more_than_two_classes_needs_an_average(predicted: list[int], labels: list[int]) -> None:
    with pytest.raises(MetricError, match="average: macro") as caught:
        compute("f1", predicted, labels)
    assert "\n" not in str(caught.value)
    assert compute("f1", predicted, labels, average="macro") > 0


@pytest.mark.parametrize("name", ["pearsonr", "spearmanr"])
@pytest.mark.parametrize("predicted", [[0.5, 0.5, 0.5], [0.5]])
def test_constant_input_is_nan_without_a_warning(name: str, predicted: list[float]) -> None:
    labels = [float(i) for i in range(len(predicted))]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(compute(name, predicted, labels))


@pytest.mark.parametrize("name", ["accuracy", "f1", "matthews_correlation"])
def test_one_class_only_gives_a_number_without_a_warning(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert compute(name, [0, 0], [0, 0]) == (1.0 if name == "accuracy" else 0.0)


@pytest.mark.parametrize("name", ["no_such_metric", "nobody/no_such_metric", "./no/such/metric", "/no/such/metric.py"])
def test_unknown_metric_is_one_fast_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evaluate.config.HF_EVALUATE_OFFLINE", False)
    start = time.monotonic()
    with pytest.raises(MetricError) as caught:
        load_metric(name)
    assert time.monotonic() - start < 1.0  # one refused connection with retries takes longer
    message = str(caught.value)
    assert "\n" not in message
    assert repr(name) in message
    assert all(shipped in message for shipped in shipped_metrics())
    assert sys.modules["evaluate.config"].HF_EVALUATE_OFFLINE is False  # as it was


def test_a_metric_that_lacks_a_package_or_is_broken_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "lacking.py").write_text("import no_such_package_here\n")
    (tmp_path / "empty.py").write_text("VALUE = 1\n")
    with pytest.raises(MetricError, match="no_such_package_here") as caught:
        load_metric(str(tmp_path / "lacking.py"))
    assert "\n" not in str(caught.value)
    with pytest.raises(MetricError, match=r"empty\.py"):
        load_metric(str(tmp_path / "empty.py"))


def test_a_folder_of_the_same_name_does_not_shadow_a_shipped_metric(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "accuracy").mkdir()
    (tmp_path / "accuracy" / "accuracy.py").write_text("raise RuntimeError('the wrong accuracy\\nmore')\n")
    monkeypatch.chdir(tmp_path)
    assert compute("accuracy", [0, 1], [0, 0]) == 0.5
    with pytest.raises(MetricError, match="the wrong accuracy") as caught:
        load_metric("./accuracy")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("f1", "f1"),
        ("evaluate-metric/f1", "f1"),
        ("./mine/my_score", "my_score"),
        ("/a/my_score.py", "my_score"),
    ],
)
def test_result_key(name: str, key: str) -> None:
    assert result_key(name) == key


CONCURRENT = """
import json, multiprocessing
import datasets, evaluate, scipy.stats, sklearn.metrics
from minidisc_plugin.metrics import load_metric

def work(rank):
    start.wait()
    a, b = load_metric("accuracy"), load_metric("accuracy")
    a.add_batch(predictions=[1] * 4, references=[1] * rank + [0] * (4 - rank))
    b.add_batch(predictions=[1], references=[0])
    return [a.compute()["accuracy"], b.compute()["accuracy"]]

fork = multiprocessing.get_context("fork")
start = fork.Barrier(4)
with fork.Pool(4) as pool:
    print(json.dumps(pool.map(work, range(4), chunksize=1)))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_processes_that_share_a_fresh_cache_do_not_clash(tmp_path: Path) -> None:
    work, cache = tmp_path / "work", tmp_path / "cache"
    work.mkdir()
    paths = [str(FOLDER.parent.parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "HF_HOME": str(cache), "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    done = subprocess.run(
        [sys.executable, "-c", CONCURRENT],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [[rank / 4, 0.0] for rank in range(4)]
    assert list(work.iterdir()) == []
    assert [path for path in (cache / "metrics").rglob("*") if path.is_file()] == []


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (  # the package without its __init__, which imports what it likes
        "import sys, types\n"
        "bare = sys.modules['minidisc_plugin'] = types.ModuleType('minidisc_plugin')\n"
        f"bare.__path__ = [{str(FOLDER.parent)!r}]\n"
        "from minidisc_plugin.metrics import shipped_metrics\n"
        "shipped_metrics()\n"
        "print(*sorted({'evaluate', 'datasets', 'sklearn', 'numpy', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
