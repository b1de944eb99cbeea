"""Labels, spans, masks and metrics of the tasks, by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from minidisc_plugin import NestedModel
from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.distillation import DistillationConfig
from minidisc_plugin.contracts.objective import Objective
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.metrics import LoadedMetric
from minidisc_plugin.objectives import KnowledgeDistillation, MiniDiscObjective
from minidisc_plugin.tasks.question_answering import answer_span
from minidisc_plugin.tasks.registry import TASKS, task_of_model
from minidisc_plugin.tasks.token_classification import word_labels
from tests.builders.teachers import load_teacher
from tests.builders.tiny import make_batch
from tests.tasks.making import make_model


def test_the_first_piece_bears_the_label() -> None:
    assert word_labels([None, 0, 0, 1, None], [3, 4]) == [-100, 3, -100, 4, -100]


def test_spans() -> None:
    offsets, inside = [(0, 0), (0, 3), (0, 0), (0, 2), (3, 6), (7, 9)], [False] * 3 + [True] * 3
    found = answer_span(offsets, inside, 3, 9)
    assert (found.start, found.end, found.char_starts) == (4, 5, [-1, -1, -1, 0, 3, 7])
    assert (answer_span(offsets, inside, 3, 12).start, answer_span(offsets, inside, 3, 12).end) == (0, 0)


def test_seqeval_counts_whole_entities() -> None:
    predicted = [["B-A", "I-A", "O", "B-B"], ["O", "I-A"]]
    labelled = [["B-A", "I-A", "O", "B-A"], ["O", "B-A"]]
    found = LoadedMetric("seqeval")(predicted, labelled)
    assert found["seqeval"] == pytest.approx(2 / 3) and found["overall_accuracy"] == pytest.approx(4 / 6)


def test_squad_in_percent() -> None:
    predictions = [{"id": "0", "prediction_text": "The red house"}, {"id": "1", "prediction_text": "red"}]
    answers = [{"text": ["red house."], "answer_start": [0]}, {"text": ["blue", "red car"], "answer_start": [0, 5]}]
    references = [{"id": str(row), "answers": answer} for row, answer in enumerate(answers)]
    found = LoadedMetric("squad")(predictions, references)
    assert found["exact_match"] == 50 and found["squad"] == pytest.approx(100 * (1 + 2 / 3) / 2)


def test_bits_saved() -> None:
    found = LoadedMetric("bits_saved")([math.log(0.5), math.log(0.125)], [1, 2], vocabulary=16)
    assert found["perplexity"] == pytest.approx(4) and found["bits_saved"] == pytest.approx(0.5)


@pytest.mark.parametrize("objective_class", [MiniDiscObjective, KnowledgeDistillation])
@pytest.mark.parametrize("kind", ["token-classification", "gpt2", "llama", "t5", "bart"])
def test_padding_and_ignored_labels_change_nothing(kind: str, objective_class: type[Objective]) -> None:
    student, teacher = make_model(kind).eval(), make_model(kind).eval()
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(0.1)
    task, objective = task_of_model(teacher), objective_class(DistillationConfig(), regression=False)
    ids, losses = make_batch(size=2, tokens=6, padded=False)["input_ids"], []
    for extra in (0, 5):
        mask = (torch.arange(6 + extra) < 6).long().expand(2, -1)
        batch = {"input_ids": torch.nn.functional.pad(ids, (0, extra), value=9), "attention_mask": mask}
        batch["labels"] = torch.nn.functional.pad(ids % 5, (0, extra), value=-100)
        outputs = [model(**task.inputs(batch, model), output_hidden_states=True) for model in (student, teacher)]
        losses.append(objective(*task.compared(*outputs, batch)).item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-4) and losses[0] > 0


def test_padding_of_a_context_changes_nothing() -> None:
    task, objective = TASKS["question-answering"](), MiniDiscObjective(DistillationConfig(), regression=False)
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]])
    found = []
    for value in (0.0, 50.0):
        torch.manual_seed(0)
        outputs = [
            SimpleNamespace(
                start_logits=torch.randn(2, 4).masked_fill(mask == 0, value),
                end_logits=torch.randn(2, 4).masked_fill(mask == 0, value),
                hidden_states=(torch.zeros(2, 4, 3),) * 2,
            )
            for _ in range(2)
        ]
        found.append(objective(*task.compared(*outputs, {"attention_mask": mask})).item())
    assert found[0] == found[1] and math.isfinite(found[0])


@pytest.mark.parametrize("kind", ["token-classification", "gpt2", "t5"])
def test_importance_does_not_depend_on_batches(kind: str) -> None:
    batch = make_batch(size=4, tokens=8)
    batch["labels"] = (batch["input_ids"] % 5).masked_fill(batch["attention_mask"] == 0, -100)
    rows = [{name: value[[row]] for name, value in batch.items()} for row in range(4)]
    whole, single = (NestedModel(make_model(kind)).rank(part) for part in ([batch], rows))
    for name, scores in whole.tensors().items():
        torch.testing.assert_close(scores, single.tensors()[name], rtol=1e-4, atol=1e-5)


def test_what_does_not_fit_is_refused(tmp_path) -> None:
    make_model("gpt2").save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="task: 'token-classification' does not fit the model, a GPT2LMHeadModel"):
        load_teacher(str(tmp_path), False, TASKS["token-classification"]())
    from minidisc_plugin.run.steps.export import Export
    from minidisc_plugin.run.trainer_choice import choose_trainer

    settings = {"model": "m", "dataset": {"path": "json", "text": "t"}, "metric": "bits_saved", "output_dir": "o"}
    config = CompressionConfig.model_validate(
        {**settings, "task": "text-generation", "pruning": {"target_sparsity": 0.5}, "trainer": "inc"}
    )
    with pytest.raises(ConfigError, match="steps: 'export' is not for task text-generation"):
        Export().check(config)
    with pytest.raises(ConfigError, match="trainer: 'inc' has no loss for task text-generation"):
        choose_trainer(config, TASKS["text-generation"]())
