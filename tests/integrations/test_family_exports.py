"""Every family, with layers of different widths: the runtime computes what torch does, without this package."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from minidisc_plugin.foundation.elsewhere import Elsewhere
from minidisc_plugin.integrations.export.route import Format, Route, route_for
from minidisc_plugin.integrations.hosts import available, require
from tests.builders.lessons import EXAM, accuracy, is_generation, lesson, teach
from tests.builders.zoo import MISCOUNTED, SEQ2SEQ, ZOO, here, is_exported, sound_input
from tests.nested.test_zoo import make_nested

TASKS = {
    "AudioClassification": ("audio-classification", "ModelForAudioClassification"),
    "ForSequenceClassification": ("text-classification", "ModelForSequenceClassification"),
    "ForTokenClassification": ("token-classification", "ModelForTokenClassification"),
    "ForImageClassification": ("image-classification", "ModelForImageClassification"),
    "MTModel": ("text2text-generation", "ModelForSeq2SeqLM"),
    "ForConditionalGeneration": ("text2text-generation", "ModelForSeq2SeqLM"),
    "ForCausalLM": ("text-generation", "ModelForCausalLM"),
    "LMHeadModel": ("text-generation", "ModelForCausalLM"),
}
# One of each format; the others take minutes.
QUICK = {("gpt2", "openvino"), ("modernbert", "onnx")}
# Of logits, in fp32: rounding.
CLOSE = {"optimum": 1e-4, "transformers": 2e-5}
POINT = 0.01
QUANTIZED = {"openvino": "openvino_int8", "onnx": "onnx_dynamic"}


class ZooTask:
    """What a route asks of a task."""

    runtime_classes: ClassVar[Mapping[str, str]]
    writes: ClassVar[bool] = False
    chooses: ClassVar[bool] = False

    def __init__(self, case: str) -> None:
        of_class = next(found for ending, found in TASKS.items() if ZOO[case][0].endswith(ending))
        self.name, kind = of_class if sound_input(case) is None else TASKS["AudioClassification"]
        self.runtime_classes = {"openvino": f"OV{kind}", "onnx": f"ORT{kind}"}  # type: ignore[misc]


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    with Elsewhere() as process:
        yield process


def features_of(case: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the model takes, without labels."""
    features = {name: value for name, value in inputs.items() if name != "labels"}
    if ZOO[case][0].endswith(SEQ2SEQ):
        features.setdefault("decoder_input_ids", inputs["labels"].clamp_min(0))
    return features


def sample_of(features: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Fewer examples, and fewer tokens where there are tokens, than are asked of the exported model."""
    whole = not any("input_ids" in name for name in features)
    return {
        name: value[:2] if whole or value.is_floating_point() else value[:2, :8] for name, value in features.items()
    }


def logits_of(elsewhere: Elsewhere, case: str, route: Route, folder: Path, inputs: Mapping[str, Tensor]) -> Tensor:
    """Of a model that is opened in a process without this package."""
    opened = route.opened
    if require("onnx") == "optimum" and "generation" in route.task.name:
        opened = opened.replace("from_pretrained(folder,", "from_pretrained(folder, use_cache=False,")
    outputs = elsewhere.outputs(case, folder, opened, features_of(case, inputs))
    return outputs["logits"] if "logits" in outputs else outputs["last_hidden_state"]


def difference(case: str, found: Tensor, expected: Tensor, inputs: Mapping[str, Tensor]) -> float:
    """The largest between two models' logits; what a language model says at padding is anyone's."""
    if is_generation(case):
        real = inputs["labels"] != -100
        found, expected = found[real], expected[real]
    return float((found - expected).abs().max())


@pytest.mark.parametrize(
    ("case", "format_name"),
    [
        pytest.param(case, format_name, marks=() if (case, format_name) in QUICK else pytest.mark.slow)
        for case in here()
        for format_name in ("openvino", "onnx")
        # Optimum exports no T5 encoder alone; speech recognition is no task yet.
        if is_exported(case) and case not in ("t5/gated-encoder", "whisper/speech")
    ],
)
def test_the_runtime_computes_what_torch_does(
    elsewhere: Elsewhere,
    case: str,
    format_name: Format,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    if not available(format_name):
        pytest.skip(f"no host exports to {format_name}")
    student = make_nested(case).extract(0.5)
    if getattr(student.config, "use_cache", False):
        student.config.use_cache = False
    learned = teach(case, student)
    assert learned > 0.9, f"{case} has not learned its task"
    exam = lesson(case, EXAM, seed=0)
    if format_name == "openvino" and case in MISCOUNTED:
        del exam["attention_mask"]
    features = features_of(case, exam)
    with torch.no_grad():
        expected = student(**features)["logits"]
    task: Any = ZooTask(case)
    route, host, sample = route_for(format_name, task), require(format_name), sample_of(features)
    route.export(student, tmp_path / "fp32", sample)
    off = difference(case, logits_of(elsewhere, case, route, tmp_path / "fp32", exam), expected, exam)
    record_property("family", f"{case} | {format_name} | {host}")
    record_property("learned", f"{learned:.4f}")
    record_property("fp32", f"{off:.1e}")
    assert off <= CLOSE[host]
    if host == "optimum" and is_generation(case):
        return  # its quantizers ask for a tokenizer
    route.quantize(QUANTIZED[format_name], tmp_path / "fp32", tmp_path / "int8", _examples(features), sample)
    rounded = logits_of(elsewhere, case, route, tmp_path / "int8", exam)
    record_property("int8", f"{accuracy(case, rounded, exam['labels']):.4f}")
    record_property("int8_off", f"{difference(case, rounded, expected, exam):.1e}")
    assert off < difference(case, rounded, expected, exam), "8 bits round more than fp32 does"
    assert accuracy(case, rounded, exam["labels"]) >= accuracy(case, expected, exam["labels"]) - POINT


def _examples(features: Mapping[str, Tensor]) -> Any:
    from datasets import Dataset

    return Dataset.from_dict({name: value[:64].tolist() for name, value in features.items()})
