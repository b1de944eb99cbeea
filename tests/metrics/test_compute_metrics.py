"""`build_compute_metrics`, alone and inside a real `transformers.Trainer`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, EvalPrediction, Trainer, TrainingArguments

from minidisc_plugin.foundation.errors import MetricError
from minidisc_plugin.metrics import build_compute_metrics

LOGITS = np.array([[2.0, 1.0], [0.0, 3.0], [1.0, 5.0], [4.0, 0.0]])
LABELS = np.array([0, 1, 0, 1])
MODULE = """
import datasets
import evaluate


class Mine(evaluate.Metric):
    def _info(self):
        row = {"predictions": datasets.Value("int32"), "references": datasets.Value("int32")}
        return evaluate.MetricInfo(
            description="", citation="", inputs_description="", features=datasets.Features(row)
        )

    def _compute(self, predictions, references):
        return RESULT
"""


def own_metric(folder: Path, name: str, result: str) -> str:
    (folder / name).mkdir()
    (folder / name / f"{name}.py").write_text(MODULE.replace("RESULT", result))
    return str(folder / name)


def test_classes_are_the_largest_logit() -> None:
    prediction = EvalPrediction(predictions=LOGITS, label_ids=LABELS)
    assert build_compute_metrics("accuracy", regression=False)(prediction) == {"accuracy": 0.5}
    assert build_compute_metrics("f1", regression=False)(prediction) == {"f1": 0.5}


def test_of_several_outputs_the_first_is_taken() -> None:
    hidden = np.zeros((4, 7))
    prediction = EvalPrediction(predictions=(LOGITS, hidden), label_ids=(LABELS, hidden))
    assert build_compute_metrics("accuracy", regression=False)(prediction) == {"accuracy": 0.5}


def test_regression_takes_the_single_column() -> None:
    values = np.array([[0.1], [0.4], [0.2]], dtype=np.float32)
    labels = np.array([1.0, 4.0, 3.0], dtype=np.float32)
    result = build_compute_metrics("pearsonr", regression=True)(EvalPrediction(values, labels))
    assert result["pearsonr"] == pytest.approx(np.corrcoef(values[:, 0], labels)[0, 1], abs=1e-6)
    ranked = EvalPrediction(values, np.array([[1.0], [3.0], [4.0]]))  # ranks 1 3 2 and 1 2 3: 1 - 6 * 2 / 24
    assert build_compute_metrics("spearmanr", regression=True)(ranked)["spearmanr"] == pytest.approx(0.5)


def test_nan_logits_are_no_class() -> None:
    logits = LOGITS.copy()
    logits[0, 1] = np.nan
    result = build_compute_metrics("accuracy", regression=False)(EvalPrediction(logits, LABELS))
    assert math.isnan(result["accuracy"])


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_regression_that_diverged_is_nan(broken: float) -> None:
    values = np.array([[0.1], [broken], [0.2]])
    result = build_compute_metrics("spearmanr", regression=True)(EvalPrediction(values, np.arange(3.0)))
    assert math.isnan(result["spearmanr"])


def test_options_reach_the_metric() -> None:
    logits, labels = np.eye(3)[[0, 1, 2, 1]], np.array([0, 1, 2, 0])
    prediction = EvalPrediction(predictions=logits, label_ids=labels)
    with pytest.raises(MetricError, match="average: macro"):
        build_compute_metrics("f1", regression=False)(prediction)
    macro = build_compute_metrics("f1", regression=False, options={"average": "macro"})
    assert macro(prediction)["f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    with pytest.raises(MetricError, match=r"gives \['f1'\] and no single number 'f1'"):
        build_compute_metrics("f1", regression=False, options={"average": None})(prediction)


@pytest.mark.parametrize("options", [{"averag": "macro"}, {"average": "mean"}])
def test_wrong_options_are_one_line(options: dict[str, Any]) -> None:
    function = build_compute_metrics("f1", regression=False, options=options)
    with pytest.raises(MetricError, match="metric f1 with options") as caught:
        function(EvalPrediction(LOGITS, LABELS))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["accuracy", "f1", "matthews_correlation"])
def test_a_metric_of_classes_does_not_fit_a_regression(name: str) -> None:
    with pytest.raises(MetricError, match="pearsonr"):
        build_compute_metrics(name, regression=True)


def test_several_columns_do_not_fit_a_regression() -> None:
    with pytest.raises(MetricError, match="metric pearsonr"):
        build_compute_metrics("pearsonr", regression=True)(EvalPrediction(LOGITS, np.arange(4.0)))


def test_own_metric_by_folder(tmp_path: Path) -> None:
    prediction = EvalPrediction(LOGITS, LABELS)
    same = own_metric(tmp_path, "same", "{'same': 0.25, 'more': 2, 'each': [1, 2]}")
    assert build_compute_metrics(same, regression=False)(prediction) == {"same": 0.25, "more": 2.0}
    single = own_metric(tmp_path, "single", "{'score': 0.25}")
    assert build_compute_metrics(single, regression=False)(prediction) == {"score": 0.25, "single": 0.25}
    several = own_metric(tmp_path, "several", "{'precision': 0.25, 'recall': 0.5}")
    with pytest.raises(MetricError, match=r"\['precision', 'recall'\].*'several'"):
        build_compute_metrics(several, regression=False)(prediction)


def test_a_function_can_be_used_again_after_an_error() -> None:
    function = build_compute_metrics("f1", regression=False)
    with pytest.raises(MetricError):
        function(EvalPrediction(np.eye(3), np.arange(3)))
    with pytest.raises(MetricError):
        function(EvalPrediction(LOGITS, LABELS[:3]))
    assert function(EvalPrediction(LOGITS, LABELS)) == {"f1": 0.5}


def test_inside_a_trainer(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=30,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=3,
    )
    model = BertForSequenceClassification(config).eval()
    tokens = torch.randint(0, 30, (12, 5))
    with torch.no_grad():
        classes = model(input_ids=tokens).logits.argmax(-1)
    labels = torch.where(torch.arange(12) < 9, classes, (classes + 1) % 3)
    rows = [{"input_ids": row, "labels": label} for row, label in zip(tokens, labels, strict=True)]
    trainer = Trainer(
        model,
        TrainingArguments(str(tmp_path), report_to=[], per_device_eval_batch_size=5, use_cpu=True),
        eval_dataset=rows,
        compute_metrics=build_compute_metrics("accuracy", regression=False),
    )
    assert trainer.evaluate()["eval_accuracy"] == 0.75
