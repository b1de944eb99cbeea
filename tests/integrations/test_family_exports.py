"""Every family that Optimum exports, with layers of different widths: the runtime computes what torch does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from minidisc_plugin.nested.checkpoint import as_stock
from tests.builders.zoo import EXPORTED, ZOO, here, make_inputs, outputs_of
from tests.nested.test_zoo import make_nested

TASKS = {
    "ForSequenceClassification": ("text-classification", "ModelForSequenceClassification"),
    "ForTokenClassification": ("token-classification", "ModelForTokenClassification"),
    "ForImageClassification": ("image-classification", "ModelForImageClassification"),
    "ForConditionalGeneration": ("text2text-generation", "ModelForSeq2SeqLM"),
    "ForCausalLM": ("text-generation", "ModelForCausalLM"),
    "LMHeadModel": ("text-generation", "ModelForCausalLM"),
}
# One of each kind of declaration; the others take minutes.
QUICK = {"modernbert", "gpt2", "t5"}


def to_openvino(model: PreTrainedModel, folder: Path, task: str, kind: str) -> Any:
    """Export, and load as a user does."""
    from optimum.exporters.openvino import export_from_model

    from optimum import intel

    export_from_model(model, folder, task=task, ov_config=intel.OVConfig(dtype="fp32"))
    settings: dict[str, Any] = {"use_cache": False} if "generation" in task else {}
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    return getattr(intel, f"OV{kind}").from_pretrained(folder, export=False, device="CPU", ov_config=exact, **settings)


def to_onnx(model: PreTrainedModel, folder: Path, task: str, kind: str) -> Any:
    """Export, and load as a user does."""
    from optimum.exporters.onnx import onnx_export_from_model

    from optimum import onnxruntime

    onnx_export_from_model(model, folder, task=task, do_validation=False)
    settings: dict[str, Any] = {"use_cache": False} if "generation" in task else {}
    return getattr(onnxruntime, f"ORT{kind}").from_pretrained(folder, provider="CPUExecutionProvider", **settings)


@pytest.mark.parametrize("export", [to_openvino, to_onnx])
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=() if case in QUICK else pytest.mark.slow)
        for case in here()
        if EXPORTED[case.partition("/")[0]] and case != "t5/gated-encoder"  # Optimum exports no T5 encoder alone
    ],
)
def test_the_runtime_computes_what_torch_does(case: str, export: Callable[..., Any], tmp_path: Path) -> None:
    student, inputs = make_nested(case).extract(0.5), make_inputs(case)
    expected = outputs_of(student, inputs)
    task, kind = next(found for ending, found in TASKS.items() if ZOO[case][0].endswith(ending))
    found = outputs_of(export(as_stock(student), tmp_path, task, kind), inputs)
    if "generation" in task:  # what stands at padding is anyone's
        real = inputs["labels"] != -100
        found, expected = found[real], expected[real]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
