"""Metrics that need no network: modules that `evaluate.load` reads from this package."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidisc_plugin.foundation.errors import MetricError
from minidisc_plugin.foundation.storage import cache_error

if TYPE_CHECKING:
    import evaluate
    from transformers import EvalPrediction

__all__ = ["LoadedMetric", "build_compute_metrics", "compares_texts", "load_metric", "result_key", "shipped_metrics"]

_FOLDER = Path(__file__).parent
_OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")
# Where a metric gives several numbers and none under its own name: the one that it is known for.
_MAIN_VALUES = {"rouge": "rougeL", "seqeval": "overall_f1", "squad": "f1", "squad_v2": "f1"}
_PACKAGES = dict.fromkeys(("rouge", "sacrebleu", "wer", "cer"), "minidisc-plugin[generation]")
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


def load_metric(name: str, configuration: str | None = None) -> evaluate.EvaluationModule:
    """Load a metric for `evaluate`.

    Rows are kept in memory under an experiment id of their own, so processes that share a cache do not
    clash. `evaluate` copies the module to its cache (HF_HOME), nothing is written to the working directory.

    Args:
        name: a shipped metric, which always comes from this package, or anything `evaluate.load` accepts: a
            local folder or file, or a module of the Hugging Face Hub, whose code is then run.
        configuration: of the metric, such as `multilabel`.

    Returns:
        The evaluation module.

    Raises:
        MetricError: the metric is unknown, not reachable off line, or lacks a package it needs.
        StorageError: the disk of Hugging Face's cache refuses.
    """
    try:
        import evaluate
    except ImportError as error:
        raise MetricError(f"metric {name}: {error}; install it with: pip install evaluate") from error

    shipped = shipped_metrics()
    path = str(_FOLDER / name) if name in shipped else name
    try:
        with _hub_switch():
            return evaluate.load(path, configuration, keep_in_memory=True, experiment_id=uuid.uuid4().hex)
    except Exception as error:  # evaluate runs foreign code and lets every kind of error through
        refused = cache_error(error)
        if refused is not None:
            raise refused from error
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        remedy = (
            f"the cache folder HF_HOME must be writable and {_PACKAGES.get(name, 'scikit-learn and scipy')} installed"
            if name in shipped
            else f"shipped metrics are {', '.join(shipped)}; others: a local folder, or reachable on the Hub"
        )
        raise MetricError(f"metric {name!r} cannot be loaded: {reason} ({remedy})") from error


def compares_texts(metric: evaluate.EvaluationModule) -> bool:
    """Whether a metric compares texts with texts, as `rouge` does."""
    return getattr(_prediction(metric), "dtype", None) == "string"


def _prediction(metric: evaluate.EvaluationModule) -> Any:
    """The type of one prediction."""
    features = metric.features
    return (features[0] if isinstance(features, list) else features).get("predictions")


class LoadedMetric:
    """A metric with its options, whose result has one number under its own key.

    Args:
        name: as for `load_metric`.
        options: keyword arguments of the metric, such as `{"average": "macro"}` for f1.
        configuration: as for `load_metric`.

    Attributes:
        key: where the number stands: `result_key(name)`.

    Raises:
        MetricError: the metric cannot be loaded.
    """

    def __init__(self, name: str, options: Mapping[str, Any] | None = None, configuration: str | None = None) -> None:
        self.name, self.key = name, result_key(name)
        self._options = dict(options or {})
        self._module = load_metric(name, configuration)
        # Of those that ship with this package nothing has to be checked by Arrow, which takes several times as long.
        self._compute = self._module._compute if name in shipped_metrics() else self._module.compute

    @property
    def takes_answers(self) -> bool:
        """Whether it compares texts that answer a question, as `squad` does."""
        return isinstance(_prediction(self._module), Mapping)

    @property
    def takes_sequences(self) -> bool:
        """Whether it compares lists of tags, as `seqeval` does."""
        from datasets import Value

        return not self.takes_answers and not isinstance(_prediction(self._module), Value)

    @property
    def takes_texts(self) -> bool:
        """See compares_texts."""
        return compares_texts(self._module)

    def __call__(self, predictions: Any, references: Any, **more: Any) -> dict[str, float]:
        """Compute it; `more` are arguments beside the options.

        Raises:
            MetricError: the options do not fit the data, or the result has no single number under the key.
        """
        settings = {**self._options, **more}
        try:
            result = self._compute(predictions=predictions, references=references, **settings)
        except (TypeError, ValueError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise MetricError(f"metric {self.name} with options {settings}: {reason}") from error
        numbers = {name: float(value) for name, value in result.items() if _is_number(value)}
        main = _MAIN_VALUES.get(self.key, "")
        if self.key not in numbers and main in numbers:
            numbers[self.key] = numbers[main]
        if self.key not in numbers:
            if len(result) != 1 or len(numbers) != 1:
                options = f" with options {self._options}" if self._options else ""
                raise MetricError(
                    f"metric {self.name}{options} gives {sorted(result)} and no single number {self.key!r}; choose "
                    "metric.options that give one, such as average: macro"
                )
            numbers[self.key] = next(iter(numbers.values()))
        return numbers


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
    key = result_key(name)
    if regression and key in _NEED_CLASSES:
        raise MetricError(f"metric {name} compares classes, this is a regression; use pearsonr or spearmanr")
    module = LoadedMetric(name, options)

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
        return module(outputs, labels)

    return compute_metrics


def _is_number(value: Any) -> bool:
    import numpy as np

    return not isinstance(value, (Mapping, str)) and np.ndim(value) == 0
