"""HRKD against arithmetic by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from datasets import Dataset
from torch import Tensor
from transformers import BertForSequenceClassification

from minidisc_plugin import NestedModel
from minidisc_plugin.contracts.distillation import DistillationConfig
from minidisc_plugin.contracts.objective import DOMAIN
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.objectives import Hrkd
from minidisc_plugin.objectives.hrkd import _attention_errors
from minidisc_plugin.run.checks.trial import check_attention
from minidisc_plugin.training.observing import asking
from tests.builders.zoo import ZOO, here, make_inputs, make_model, outputs_of, sound_input
from tests.objectives.arithmetic import MASK, TARGETS, check_slopes, linear, make_output, soft_entropy, softmax

DOMAINS = torch.tensor([1, 0, 1])
BATCH = {"attention_mask": MASK, DOMAIN: DOMAINS}
LAYERS, WIDTH, HEADS = 3, 5, 2


def make_hrkd(regression: bool = False, **own: Any) -> Hrkd:
    settings = DistillationConfig.model_validate({"objective": "hrkd", "hrkd": {"heads": HEADS, "dropout": 0.0, **own}})
    objective = Hrkd(settings, regression=regression)
    config = SimpleNamespace(hidden_size=WIDTH, num_hidden_layers=LAYERS, is_encoder_decoder=False, model_type="tiny")
    model: Any = SimpleNamespace(config=config)
    torch.manual_seed(1)
    network = objective.make_network(model, model, Dataset.from_dict({DOMAIN: [0, 1, 1, 0]}))
    assert network is not None
    network = network.double()
    for parameter in network.parameters():  # maps begin as ones that change nothing
        parameter.data += 0.1 * torch.randn_like(parameter)
    return objective.with_network(network)


def with_attention(output: Any, seed: int, heads: int) -> Any:
    """With the weights of `heads` heads in each layer; padding is not looked at."""
    generator = torch.Generator().manual_seed(seed)
    output.scores = [
        torch.randn(3, heads, 4, 4, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(LAYERS)
    ]
    return attending(output)


def attending(output: Any) -> Any:
    """Weights of what its scores are now."""
    masked = (score.masked_fill(MASK[:, None, None] == 0, -torch.inf) for score in output.scores)
    output.attentions = tuple(torch.softmax(score, -1) for score in masked)
    return output


def make_pair() -> tuple[Any, Any]:
    return with_attention(make_output(0), 2, HEADS), with_attention(make_output(1), 3, 3)


def times(vector: list[float], matrix: Tensor) -> list[float]:
    """A row by a matrix."""
    rows = matrix.tolist()
    return [sum(v * row[i] for v, row in zip(vector, rows, strict=True)) for i in range(matrix.shape[1])]


def dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def mixed(shares: list[float], vectors: list[list[float]]) -> list[float]:
    return [dot(shares, list(column)) for column in zip(*vectors, strict=True)]


def graph_attention(head: Any, nodes: list[list[float]]) -> list[list[float]]:
    mapped = [times(node, head.map) for node in nodes]
    found = []
    for one in mapped:
        scores = [times(one, head.asking)[0] + times(other, head.asked)[0] for other in mapped]
        shares = softmax([score if score > 0 else 0.2 * score for score in scores])
        found.append([value if value > 0 else math.exp(value) - 1 for value in mixed(shares, mapped)])
    return found


def prototypes_of(network: Any, output: Any) -> list[list[list[float]]]:
    found = []
    for fit, state in zip(network.fits, output.hidden_states, strict=True):
        of_domains = []
        for domain in (0, 1):
            places = [(row, token) for row in range(3) for token in range(4) if MASK[row, token]]
            rows = [
                linear(fit.weight, fit.bias, state[place].tolist()) for place in places if DOMAINS[place[0]] == domain
            ]
            of_domains.append([sum(column) / len(rows) for column in zip(*rows, strict=True)])
        found.append(of_domains)
    return found


def weights_by_hand(network: Any, output: Any) -> list[list[float]]:
    prototypes, found = prototypes_of(network, output), []
    for layer, nodes in enumerate(prototypes):
        seen = nodes
        if layer:
            seen = []
            for domain in (0, 1):
                at_others = [dot(times(nodes[domain], network.among_domains[layer - 1]), other) for other in nodes]
                related = mixed(softmax(at_others), nodes)
                so_far = [earlier[domain] for earlier in prototypes[: layer + 1]]
                matrix = network.among_layers[layer - 1][domain]
                seen.append(mixed(softmax([dot(times(one, matrix), related) for one in so_far]), so_far))
        heads = [graph_attention(head, seen) for head in network.graphs[layer].first]
        joined = [[value for head in heads for value in head[domain]] for domain in (0, 1)]
        found.append(softmax([one[0] for one in graph_attention(network.graphs[layer].second, joined)]))
    return found


def around(scores: Tensor, row: int, query: int) -> list[float]:
    """Of a query, scores around their mean over real tokens, averaged over heads."""
    heads = [[float(head[query, key]) for key in range(4) if MASK[row, key]] for head in scores[row]]
    centred = [[value - sum(head) / len(head) for value in head] for head in heads]
    return [sum(column) / len(column) for column in zip(*centred, strict=True)]


def layer_by_hand(network: Any, layer: int, domain: int, student: Any, teacher: Any) -> float:
    fit, states, attention = network.fits[layer], [], []
    for row in range(3):
        for token in range(4):
            if DOMAINS[row] != domain or not MASK[row, token]:
                continue
            mine = linear(fit.weight, fit.bias, student.hidden_states[layer][row, token].tolist())
            theirs = teacher.hidden_states[layer][row, token].tolist()
            states += [(a - b) ** 2 for a, b in zip(mine, theirs, strict=True)]
            if layer:
                pair = [around(output.scores[layer - 1], row, token) for output in (student, teacher)]
                attention += [(a - b) ** 2 for a, b in zip(*pair, strict=True)]
    return sum(states) / len(states) + (sum(attention) / len(attention) if attention else 0.0)


def test_by_hand() -> None:
    student, teacher = make_pair()
    objective = make_hrkd(hidden_weight=0.5, logits_weight=3.0, temperature=2.0)
    weights = weights_by_hand(objective.network, student)
    assert all(math.isclose(sum(layer), 1.0) for layer in weights)
    wanted = 0.0
    for domain in (0, 1):
        rows = (domain == DOMAINS).nonzero()[:, 0]
        wanted += 3.0 / 2 * soft_entropy(student.logits[rows], teacher.logits[rows], 2.0)
        for layer in range(LAYERS + 1):
            found = layer_by_hand(objective.network, layer, domain, student, teacher)
            wanted += 0.5 * weights[layer][domain] * found
    assert math.isclose(objective(student, teacher, BATCH).item(), wanted, rel_tol=1e-9)


def test_a_regression() -> None:
    student, teacher = (with_attention(make_output(seed, labels=1), seed, 2) for seed in (0, 1))
    objective = make_hrkd(regression=True, hidden_weight=0.0)
    errors = [float(a - b) ** 2 for a, b in zip(student.logits, teacher.logits, strict=True)]
    wanted = (errors[1] + (errors[0] + errors[2]) / 2) / 2
    found = objective(student, teacher, {**BATCH, "labels": TARGETS})
    assert math.isclose(found.item(), wanted, rel_tol=1e-9)


def test_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    student, teacher = make_pair()
    objective = make_hrkd()

    def loss() -> Tensor:
        return objective(attending(student), teacher, BATCH)

    graph = [parameter for name, parameter in objective.network.named_parameters() if not name.startswith("fits")]
    check_slopes(loss, [student.logits, *graph])
    # What the student is decides about the weights of domains, too, and is not to be led by that.
    found = torch.autograd.grad(loss(), student.hidden_states)
    fixed = torch.tensor(weights_by_hand(objective.network, student), dtype=torch.float64)
    monkeypatch.setattr(objective, "_weights", lambda *given: fixed)
    again = torch.autograd.grad(loss(), student.hidden_states)
    assert all(torch.allclose(one, other, rtol=1e-9) for one, other in zip(found, again, strict=True))
    check_slopes(loss, [*student.hidden_states, *student.scores, *objective.network.fits.parameters()])


def test_attention_that_dropout_left_out_counts_nowhere() -> None:
    student, teacher = make_pair()
    objective = make_hrkd()
    dropped = torch.rand(3, HEADS, 4, 4, generator=torch.Generator().manual_seed(0)) < 0.3
    student.attentions = tuple(weights.masked_fill(dropped, 0.0) / 0.7 for weights in student.attentions)
    loss = objective(student, teacher, BATCH)
    assert 0 < loss.item() < 50  # a logarithm of nearly nothing would be -700
    assert all(torch.isfinite(slope).all() for slope in torch.autograd.grad(loss, student.scores))


def test_nothing_to_learn_from_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"hrkd\.hidden_weight: 0 beside"):
        make_hrkd(hidden_weight=0, logits_weight=0)


CLASSIFIERS = [
    case
    for case in here()
    if "SequenceClassification" in ZOO[case][0] and not case.startswith("bart") and sound_input(case) is None
]


@pytest.mark.parametrize("case", CLASSIFIERS)
def test_every_family_gives_its_attention_by_steps(case: str) -> None:
    model, inputs = make_model(case), make_inputs(case)
    objective = make_hrkd()
    names = {name: value for name, value in inputs.items() if name != "labels"}
    check_attention(objective, model, names)
    teacher, nested = make_model(case), NestedModel(model, allocation="uniform")
    with torch.no_grad(), asking(objective, teacher) as wanted:
        theirs = teacher(**names, **wanted)
    assert torch.allclose(outputs_of(teacher, inputs), theirs.logits, atol=1e-5)  # the fused kernel's
    for scale in (1.0, 0.5, 0.1):  # of which the last leaves no head
        nested.set_scale(scale)
        for slice_ in (nested.model, nested.extract(scale)):
            with asking(objective, slice_) as wanted:
                mine = slice_(**names, **wanted)
            assert len(mine.attentions) == len(theirs.attentions) == len(mine.hidden_states) - 1
            for weights, wanted_ones in zip(mine.attentions, theirs.attentions, strict=True):
                assert weights.shape[0] == 4 and weights.shape[2:] == wanted_ones.shape[2:]
                found, pairs = _attention_errors(weights, wanted_ones, inputs["attention_mask"])
                assert torch.isfinite(found).all() and (pairs > 0).all()
                assert scale != 1.0 or found.sum() < 1e-6
        assert torch.allclose(nested.extract(scale)(**names).logits, nested.model(**names).logits, atol=1e-5)


@pytest.mark.parametrize(("fails", "why"), [(False, ""), (True, r" \(not by this kernel\)")])
def test_a_model_without_attention_weights_is_refused(fails: bool, why: str) -> None:
    class Silent(BertForSequenceClassification):
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            if fails and kwargs["output_attentions"]:
                raise RuntimeError("not by this kernel")
            found = super().forward(*args, **kwargs)
            found.attentions = None
            return found

    model, inputs = Silent(make_model("bert").config).eval(), make_inputs("bert")
    told = rf"^distillation.objective: 'hrkd' compares attention weights, and bert of .* gives none{why}; set"
    with pytest.raises(ConfigError, match=told):
        check_attention(make_hrkd(), model, inputs)
