"""Every family's model of multiple choice: slices are the extracted, loaded models, and importance knows examples."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForMultipleChoice, PreTrainedModel

from minidisc_plugin import NestedModel, load
from minidisc_plugin.contracts.distillation import DistillationConfig
from minidisc_plugin.nested.deriving.derive import family_for
from minidisc_plugin.nested.importance import importance
from minidisc_plugin.nested.units import structure_of
from minidisc_plugin.objectives import MiniDiscObjective
from minidisc_plugin.plugins import families
from minidisc_plugin.tasks.multiple_choice import MultipleChoice
from tests.builders.tiny import make_batch
from tests.builders.undeclared import DERIVED
from tests.builders.zoo import ZOO, here, later_slow, make_other_model

CHOICES = 3
_KNOWN = AutoModelForMultipleChoice._model_mapping
CASES = [case for case in here() if type(ZOO[case][1]()) in _KNOWN]


def make_chooser(case: str) -> PreTrainedModel:
    """A tiny model of a declared family."""
    make_config = ZOO[case][1]
    return make_other_model(_KNOWN[type(make_config())].__name__, make_config)


def make_asked(size: int = 4, tokens: int = 10) -> dict[str, Tensor]:
    """Padded examples of three choices."""
    flat = make_batch(size=size * CHOICES, tokens=tokens)
    texts = {name: flat[name].view(size, CHOICES, tokens) for name in ("input_ids", "attention_mask")}
    return {**texts, "labels": torch.arange(size) % CHOICES}


@pytest.mark.parametrize("case", later_slow(CASES))
def test_choices_of_a_slice_are_those_of_the_extracted_model(case: str, tmp_path: Path) -> None:
    inputs = make_asked()
    nested = NestedModel(make_chooser(case))
    with torch.no_grad():
        whole = nested(**inputs).logits
        nested.set_scale(0.5)
        sliced = nested(**inputs).logits
        small = nested.extract(0.5)
    assert whole.shape == (4, CHOICES) and (whole - sliced).abs().max() > 1e-4
    small.save_pretrained(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(small(**inputs).logits, sliced, atol=1e-5, rtol=0)
        torch.testing.assert_close(load(tmp_path)(**inputs).logits, sliced, atol=1e-5, rtol=0)


@pytest.mark.parametrize("case", ["bert", "deberta-v2", "albert"])
def test_importance_does_not_depend_on_batches_or_padding(case: str) -> None:
    model, inputs = make_chooser(case).double(), make_asked()
    structure = structure_of(model, families()[case.partition("/")[0]])
    wider = {name: torch.nn.functional.pad(inputs[name], (0, 5)) for name in ("input_ids", "attention_mask")}
    whole = importance(model, structure, [inputs])
    for batches in (
        [{name: value[row : row + 1] for name, value in inputs.items()} for row in range(4)],
        [{**inputs, **wider}],
    ):
        for mine, theirs in zip(importance(model, structure, batches), whole, strict=True):
            for one, other in zip(mine, theirs, strict=True):
                torch.testing.assert_close(one, other)


def test_importance_is_of_examples_and_not_of_their_texts() -> None:
    """A head's score is the sum over examples of |d loss / d mask|, where one mask is for all choices of an example."""
    model, inputs = make_chooser("bert").double(), make_asked(size=2)
    structure = structure_of(model, families()["bert"])
    heads, _ = importance(model, structure, [inputs])
    units, expected = structure.heads[0], torch.zeros(structure.heads[0].count, dtype=torch.float64)
    for row in range(2):
        mask = torch.ones(units.count, dtype=torch.float64, requires_grad=True)
        handle = units.output.register_forward_pre_hook(
            lambda _, given, mask=mask: (given[0] * mask.repeat_interleave(given[0].shape[-1] // len(mask)),)
        )
        loss = model(**{name: value[row : row + 1] for name, value in inputs.items()}).loss
        (slope,) = torch.autograd.grad(loss, mask)
        handle.remove()
        expected += slope.abs()
    torch.testing.assert_close(heads[0], expected)


def test_padding_changes_no_objective() -> None:
    student, task = make_chooser("bert"), MultipleChoice()
    teacher = make_other_model("BertForMultipleChoice", ZOO["bert"][1], seed=1)
    objective = MiniDiscObjective(DistillationConfig(), regression=False)

    def loss(inputs: dict[str, Tensor]) -> Tensor:
        outputs = [model(**task.inputs(inputs, model), output_hidden_states=True) for model in (student, teacher)]
        return objective(*task.compared(*outputs, inputs))

    inputs = make_asked()
    wider = {name: torch.nn.functional.pad(inputs[name], (0, 5)) for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        torch.testing.assert_close(loss({**inputs, **wider}), loss(inputs))


@pytest.mark.parametrize("case", ["xlm", pytest.param("luke", marks=pytest.mark.slow)])
def test_a_family_is_derived_from_a_model_of_multiple_choice(case: str) -> None:
    kind, make_config = DERIVED[case]
    model = make_other_model(kind.replace("SequenceClassification", "MultipleChoice"), make_config)
    found = family_for(model, families())
    assert found.derived and found.model_type == case
