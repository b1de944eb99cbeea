"""What is derived of a model whose family is declared is what is declared, and a wrong declaration is found out."""

from __future__ import annotations

import copy
import dataclasses
import re
from typing import Any

import pytest
from torch import Tensor, nn
from transformers import PreTrainedModel

from minidisc_plugin.contracts.family import Family, Heads, Layout, Neurons
from minidisc_plugin.nested.deriving.proof import Proof
from minidisc_plugin.nested.deriving.proposal import proposals
from minidisc_plugin.nested.deriving.reading import MixedRead
from minidisc_plugin.nested.family import layout_of
from minidisc_plugin.nested.narrow import find
from minidisc_plugin.nested.units import structure_of
from minidisc_plugin.plugins import families
from tests.builders.zoo import here, later_slow, make_model

Place = tuple[str, int, int, tuple[str, ...]]


def places_of(model: PreTrainedModel, layout: Layout) -> set[Place]:
    """Of every place: what reads it, its units, features of each, and what gives them."""
    model = copy.deepcopy(model)
    names = {module: name for name, module in model.named_modules()}
    structure = structure_of(model, Family(model_type="", layouts=(layout,)))
    return {
        (names[one.output], one.count, one.size, tuple(sorted(names[source] for source, _ in one.inputs)))
        for one in structure.places
    }


def derived_layout(model: PreTrainedModel) -> Layout:
    """The first declaration of each place that holds."""
    proof = Proof(model)
    found = []
    for _, declared in proposals(proof.model):
        if not isinstance(declared, MixedRead):  # electra's queries read what projects its embeddings
            found.append(next(one for one in declared if not proof.fault(one)))
    return Layout(
        heads=tuple(one for one in found if isinstance(one, Heads)),
        neurons=tuple(one for one in found if isinstance(one, Neurons)),
    )


@pytest.mark.parametrize("case", later_slow(here()))
def test_the_places_of_a_declared_family_are_found(case: str) -> None:
    model = make_model(case)
    declared = layout_of(model, families()[case.partition("/")[0]])
    assert places_of(model, derived_layout(model)) == places_of(model, declared)


def test_layers_in_a_sequence_are_layers() -> None:
    model = make_model("bert")
    declared = places_of(model, layout_of(model, families()["bert"]))
    model.bert.encoder.layer = nn.Sequential(*model.bert.encoder.layer)
    assert places_of(model, derived_layout(model)) == declared


class Named(nn.Module):
    """Calls a projection by the name of its argument."""

    def __init__(self, dense: nn.Linear) -> None:
        super().__init__()
        self.dense = dense

    def forward(self, features: Tensor) -> Tensor:
        found: Tensor = self.dense(input=features)
        return found


def test_projections_that_are_called_by_name_are_seen() -> None:
    model = make_model("bert")
    for layer in model.bert.encoder.layer:
        layer.output.dense = Named(layer.output.dense)
    layout = derived_layout(model)
    assert [place.output for place in layout.neurons] == ["output.dense.dense"]
    assert len(layout.heads) == 1


@pytest.mark.parametrize("case", later_slow(here()))
def test_every_declaration_holds(case: str) -> None:
    model = make_model(case)
    proof = Proof(model)
    for place in layout_of(model, families()[case.partition("/")[0]]).places:
        if find(model.base_model, place.at):  # not the decoder's, where there is no decoder
            assert not proof.fault(place)


@pytest.mark.parametrize(
    ("case", "kind", "changes", "said"),
    [
        ("bert", "heads", {"inputs": ("attention.self.query", "attention.self.key")}, "another order"),
        ("bert", "heads", {"inputs": ("attention.self.query",)}, "another order"),
        ("bert", "heads", {"head_size": "num_attention_heads"}, "another order"),
        ("bert", "heads", {"output": "intermediate.dense"}, "another order"),
        ("bert", "neurons", {"output": "attention.output.dense", "inputs": ("attention.self.query",)}, "another order"),
        ("gpt2", "heads", {"fused": 1}, "another order"),
        ("modernbert", "heads", {"fused": 1}, "another order"),
        ("modernbert", "neurons", {"fused": 1}, "another order"),
        ("mpnet", "heads", {"tied": False, "tables": ()}, "another order"),
        ("mpnet", "heads", {"tables": ()}, "another order"),
        ("llama", "heads", {"grouped": ("self_attn.k_proj",)}, "another order"),
        ("llama", "neurons", {"inputs": ("mlp.gate_proj",)}, "another order"),
        ("t5", "heads", {"at": "encoder.layers.*"}, "not built as|nothing"),
    ],
)
def test_a_wrong_declaration_is_found_out(case: str, kind: str, changes: dict[str, Any], said: str) -> None:
    model = make_model(case)
    place = getattr(layout_of(model, families()[case]), kind)[0]
    proof = Proof(model)
    assert not proof.fault(place)
    fault = proof.fault(dataclasses.replace(place, **changes))
    assert re.search(said, fault), fault
    assert not proof.fault(place), "a trial leaves the model as it was"
