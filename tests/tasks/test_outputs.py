"""What of a model's output reaches an objective, whatever the task makes of its logits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from minidisc_plugin.contracts.task import Outputs, Task
from minidisc_plugin.tasks.multi_label import MultiLabelClassification
from minidisc_plugin.tasks.registry import TASKS
from tests.builders.zoo import SEQ2SEQ, ZOO, here, make_inputs, make_model


@pytest.mark.parametrize(
    ("case", "task"),
    [
        ("bert", TASKS["text-classification"]()),
        ("bert", MultiLabelClassification()),
        ("xlm-roberta", TASKS["token-classification"]()),
        ("llama", TASKS["text-generation"]()),
    ],
    ids=lambda value: value.name if isinstance(value, Task) else value,
)
def test_attention_goes_where_hidden_states_go(case: str, task: Task) -> None:
    model, batch = make_model(case), make_inputs(case)
    model.set_attn_implementation("eager")
    if isinstance(task, MultiLabelClassification):
        batch["labels"] = torch.nn.functional.one_hot(batch["labels"], 3).float()
    given = {**task.inputs(batch, model), "output_hidden_states": True, "output_attentions": True}
    output = model(**given)
    for view in task.compared(output, output, batch)[:2]:
        assert view.attentions is output.attentions and view.hidden_states is output.hidden_states


def test_answers_of_a_span() -> None:
    output: Any = SimpleNamespace(
        start_logits=torch.zeros(2, 3), end_logits=torch.ones(2, 3), attentions=(torch.eye(3),)
    )
    batch = {"input_ids": torch.zeros(2, 3, dtype=torch.long), "attention_mask": torch.ones(2, 3, dtype=torch.long)}
    mine, _, _ = TASKS["question-answering"]().compared(output, output, batch)
    assert isinstance(mine, Outputs) and mine.attentions is output.attentions and mine.hidden_states is None


@pytest.mark.parametrize("case", [case for case in here() if ZOO[case][0].endswith(SEQ2SEQ)])
def test_a_decoder_without_labels_reads_what_it_would_make_of_them(case: str) -> None:
    model, batch = make_model(case), make_inputs(case)
    given = TASKS["text2text-generation"]().inputs(batch, model)
    with torch.no_grad():
        torch.testing.assert_close(model(**given).logits, model(**batch).logits)
    assert "labels" not in given
