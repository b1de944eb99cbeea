"""Metrics that need no network: modules that `evaluate.load` reads from this package."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidisc_plugin.errors import MetricError

if TYPE_CHECKING:
    import evaluate
    from transformers import EvalPrediction

__all__ = ["build_compute_metrics", "load_metric", "result_key", "shipped_metrics"]

_FOLDER = Path(__file__).parent
_OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")
_NEED_CLASSES = frozenset({"accuracy", "f1", "matthews_correlation"})


def shipped_metrics() -> list[str]:
    """List the metrics that work without a network, in alphabetical order."""
    return sorted(folder.name for folder in _FOLDER.iterdir() if (folder / f"{folder.name}.py").is_file())


def result_key(name: str) -> str:
    """Tell under which key a metric reports its value: the last part of its name or path, without `.py`."""
    return re.split(r"[/\\]", name.strip().rstrip("/\\"))[-1].removesuffix(".py")


@contextmanager
def _hub_switch() -> Iterator[None]:
    """Make `evaluate`, which reads HF_EVALUATE_OFFLINE only, obey the other off-line variables as well."""
    from evaluate import config

    before = config.HF_EVALUATE_OFFLINE
    wanted = any(os.environ.get(name, "").upper() in {"1", "ON", "YES", "TRUE"} for name in _OFFLINE)
    config.HF_EVALUATE_OFFLINE = before or wanted
    try:
        yield
    finally:
        config.HF_EVALUATE_OFFLINE = before


def load_metric(name: str) -> evaluate.EvaluationModule:
    """Load a metric for `evaluate`.

    Rows are kept in memory under an experiment id of their own, so processes that share a cache do not
    clash. `evaluate` copies the module to its cache (HF_HOME), nothing is written to the working directory.

    Args:
        name: a shipped metric, which always comes from this package, or anything `evaluate.load` accepts: a
            local folder or file, or a module of the Hugging Face Hub, whose code is then run.

    Returns:
        The evaluation module.

    Raises:
        MetricError: the metric is unknown, not reachable off line, or lacks a package it needs.
    """
    try:
        import evaluate
    except ImportError as error:
        raise MetricError(f"metric {name}: {error}; install it with: pip install evaluate") from error

    shipped = shipped_metrics()
    path = str(_FOLDER / name) if name in shipped else name
    try:
        with _hub_switch():
            return evaluate.load(path, keep_in_memory=True, experiment_id=uuid.uuid4().hex)
    except Exception as error:  # evaluate runs foreign code and lets every kind of error through
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        remedy = (
            "the cache folder HF_HOME must be writable and scikit-learn and scipy installed"
            if name in shipped
            else f"shipped metrics are {', '.join(shipped)}; others: a local folder, or reachable on the Hub"
        )
        raise MetricError(f"metric {name!r} cannot be loaded: {reason} ({remedy})") from error


def build_compute_metrics(
    name: str, regression: bool, options: Mapping[str, Any] | None = None
) -> Callable[[EvalPrediction], dict[str, float]]:
    """Make the `compute_metrics` of a `transformers.Trainer`.

    Args:
        name: as for `load_metric`.
        regression: true where the model gives one number a row; false where it gives one logit a class.
        options: keyword arguments of the metric, such as `{"average": "macro"}` for f1.

    Returns:
        A function from predictions to numbers, among them one under `result_key(name)`. It is NaN where a
        prediction is NaN (or infinite, for regression): argmax would turn such a row into a class.

    Raises:
        MetricError: the metric cannot be loaded or does not fit a regression; and, when called, the metric's
            options do not fit its data, or its result has no single number under its key.
    """
    key, settings = result_key(name), dict(options or {})
    if regression and key in _NEED_CLASSES:
        raise MetricError(f"metric {name} compares classes, this is a regression; use pearsonr or spearmanr")
    module = load_metric(name)

    def compute_metrics(prediction: EvalPrediction) -> dict[str, float]:
        import numpy as np

        outputs, labels = prediction.predictions, prediction.label_ids
        outputs = np.asarray(outputs[0] if isinstance(outputs, tuple) else outputs)
        labels = np.asarray(labels[0] if isinstance(labels, tuple) else labels)
        if not regression:
            broken, outputs = np.isnan(outputs).any(), outputs.argmax(axis=-1)
        else:
            broken, outputs = not np.isfinite(outputs).all(), outputs.reshape(-1)
            labels = labels.reshape(-1)
        if broken:
            return {key: float("nan")}
        try:
            result = module.compute(predictions=outputs, references=labels, **settings)
        except (TypeError, ValueError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise MetricError(f"metric {name} with options {settings}: {reason}") from error
        numbers = {k: float(v) for k, v in result.items() if np.ndim(v) == 0}
        if key not in numbers:
            if len(result) != 1 or len(numbers) != 1:
                raise MetricError(f"metric {name} gives {sorted(result)} and no single number {key!r}")
            numbers[key] = next(iter(numbers.values()))
        return numbers

    return compute_metrics
