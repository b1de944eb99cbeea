"""`engine.compile`: where nothing can be recorded, a stage says why and trains as ever."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch

from minidisc_plugin.training.compiling import LENGTHS, pads_for_recordings, passes_of
from minidisc_plugin.training.dropout import drops_out, without_dropout
from minidisc_plugin.training.padding import PaddedTo
from tests.builders.tiny import make_bert
from tests.training.making import PLAIN_STEP, STILL, Bench, make_nested, make_teacher, weights

WITHOUT_CUDA = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")


@WITHOUT_CUDA
def test_asked_for_on_a_processor_it_says_why_not(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    trainer = bench.sandwich(make_nested(**STILL), None, trainer={"teacher": make_teacher()}, **PLAIN_STEP)
    with caplog.at_level(logging.WARNING):
        assert passes_of(trainer, "auto", 4) is None
        assert not caplog.records
        assert passes_of(trainer, True, 4) is None
    assert "CUDA graphs need a CUDA device" in caplog.text


@WITHOUT_CUDA
def test_where_nothing_is_recorded_training_is_as_ever(bench: Bench) -> None:
    trained = []
    for compile in (False, True):
        nested = make_nested(**STILL)
        parts: dict[str, Any] = {"teacher": make_teacher(), "compile": compile}
        trainer = bench.sandwich(nested, 1, trainer=parts, **PLAIN_STEP | {"learning_rate": 0.05})
        trained.append((trainer.train().training_loss, weights(nested.model)))
    assert trained[0][0] == trained[1][0]
    for name, value in trained[0][1].items():
        assert torch.equal(value, trained[1][1][name]), name


@WITHOUT_CUDA
@pytest.mark.parametrize("wanted", [True, "auto", False, None])
def test_a_processor_pads_to_the_longest(bench: Bench, wanted: Any) -> None:
    args = bench.sandwich(make_nested(**STILL), None, trainer={"teacher": make_teacher()}, **PLAIN_STEP).args
    assert not pads_for_recordings(wanted, args)


@pytest.mark.parametrize(("longest", "width"), [(5, 32), (32, 32), (33, 48), (48, 48), (50, 50)])
def test_lengths_are_few_and_none_above_the_limit(longest: int, width: int) -> None:
    def collator(rows: list[Any]) -> dict[str, torch.Tensor]:
        ids = torch.ones(2, longest, dtype=torch.long)
        return {"input_ids": ids, "attention_mask": ids, "labels": torch.zeros(2, dtype=torch.long)}

    batch = PaddedTo(collator, 48, pad_id=7, multiple=LENGTHS)([])
    assert batch["input_ids"].shape == batch["attention_mask"].shape == (2, width)
    assert (batch["input_ids"][:, longest:] == 7).all() and not batch["attention_mask"][:, longest:].any()
    assert batch["labels"].shape == (2,)


def test_a_model_drops_out_where_a_rate_says_so() -> None:
    model = make_bert()
    assert drops_out(model) and not drops_out(make_bert(**STILL))
    with without_dropout(model):
        assert not drops_out(model)
    assert drops_out(model)
