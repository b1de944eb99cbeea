"""Every family, with layers of different widths: the runtime computes what torch does, without this package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from torch import Tensor

from minidisc_plugin.integrations.export.elsewhere import Elsewhere
from minidisc_plugin.integrations.export.route import Format, Route, route_for
from minidisc_plugin.integrations.hosts import available, require
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
# One of each format; the others take minutes.
QUICK = {("gpt2", "openvino"), ("modernbert", "onnx")}
# fp32 is rounding; 8 bits of weights are of a tiny model's largest logit.
CLOSE = {"optimum": 1e-4, "transformers": 2e-5}
QUANTIZED = {"openvino": "openvino_int8", "onnx": "onnx_dynamic"}


class ZooTask:
    """What a route asks of a task."""

    runtime_classes: ClassVar[Mapping[str, str]]

    def __init__(self, case: str) -> None:
        self.name, kind = next(found for ending, found in TASKS.items() if ZOO[case][0].endswith(ending))
        self.runtime_classes = {"openvino": f"OV{kind}", "onnx": f"ORT{kind}"}  # type: ignore[misc]


def features_of(case: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the model takes, without labels."""
    features = {name: value for name, value in inputs.items() if name != "labels"}
    if ZOO[case][0].endswith("ForConditionalGeneration"):
        features["decoder_input_ids"] = inputs["labels"].clamp_min(0)
    return features


def sample_of(features: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Fewer examples, and fewer tokens where there are tokens, than are asked of the exported model."""
    return {name: value[:2] if value.is_floating_point() else value[:2, :8] for name, value in features.items()}


def difference(case: str, route: Route, folder: Path, expected: Tensor, inputs: Mapping[str, Tensor]) -> float:
    """Between the logits of a model that is opened without this package, and torch's."""
    opened = route.opened
    if require("onnx") == "optimum" and "generation" in route.task.name:
        opened = opened.replace("from_pretrained(folder,", "from_pretrained(folder, use_cache=False,")
    with Elsewhere() as elsewhere:
        outputs = elsewhere.outputs(case, folder, opened, features_of(case, inputs))
    found = outputs["logits"] if "logits" in outputs else outputs["last_hidden_state"]
    if "generation" in route.task.name:  # what stands at padding is anyone's
        real = inputs["labels"] != -100
        found, expected = found[real], expected[real]
    return float((found - expected).abs().max())


@pytest.mark.parametrize(
    ("case", "format_name"),
    [
        pytest.param(case, format_name, marks=() if (case, format_name) in QUICK else pytest.mark.slow)
        for case in here()
        for format_name in ("openvino", "onnx")
        if EXPORTED[case.partition("/")[0]] and case != "t5/gated-encoder"  # Optimum exports no T5 encoder alone
    ],
)
def test_the_runtime_computes_what_torch_does(case: str, format_name: Format, tmp_path: Path) -> None:
    if not available(format_name):
        pytest.skip(f"no host exports to {format_name}")
    student, inputs = make_nested(case).extract(0.5), make_inputs(case)
    if getattr(student.config, "use_cache", False):
        student.config.use_cache = False
    expected = outputs_of(student, inputs)
    task: Any = ZooTask(case)
    route, host = route_for(format_name, task), require(format_name)
    sample = sample_of(features_of(case, inputs))
    route.export(student, tmp_path / "fp32", sample)
    off = difference(case, route, tmp_path / "fp32", expected, inputs)
    assert off < CLOSE[host], off
    if host == "optimum" and "generation" in task.name:
        return  # its quantizers ask for a tokenizer
    route.quantize(
        QUANTIZED[format_name], tmp_path / "fp32", tmp_path / "int8", _examples(features_of(case, inputs)), sample
    )
    rough = difference(case, route, tmp_path / "int8", expected, inputs)
    assert off < rough < 0.2 * max(1.0, float(expected.abs().max())), rough
    print(f"FAMILY {case} {format_name} {host} {off:.1e} {rough:.1e} {float(expected.abs().max()):.2f}")


def _examples(features: Mapping[str, Tensor]) -> Any:
    from datasets import Dataset

    return Dataset.from_dict({name: value.tolist() for name, value in features.items()})
