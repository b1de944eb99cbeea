"""Every family's model without a head, as sentence embeddings are made of: slices are the extracted, loaded models."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModel

from minidisc_plugin import NestedModel, load
from minidisc_plugin.tasks.embedding_head import add_head
from minidisc_plugin.tasks.pooling import Pooling
from tests.builders.zoo import ZOO, here, later_slow, make_inputs, make_other_model

CASES = [case for case in here() if "input_ids" in make_inputs(case) and not ZOO[case][1]().is_encoder_decoder]


@pytest.mark.parametrize("case", later_slow(CASES))
def test_embeddings_of_a_slice_are_those_of_the_extracted_model(case: str, tmp_path: Path) -> None:
    make_config = ZOO[case][1]
    kind = AutoModel._model_mapping[type(make_config())].__name__
    inputs = {name: value for name, value in make_inputs(case).items() if name != "labels"}
    model = make_other_model(kind, make_config)
    add_head(model, Pooling())
    nested = NestedModel(model)
    with torch.no_grad():
        whole = nested(**inputs).logits
        nested.set_scale(0.5)
        sliced = nested(**inputs, output_hidden_states=True)
        small = nested.extract(0.5)
        found = small(**inputs, output_hidden_states=True)
    assert (whole - sliced.logits).abs().max() > 1e-4
    torch.testing.assert_close(found.logits, sliced.logits, atol=1e-5, rtol=0)
    assert len(found.hidden_states) == len(sliced.hidden_states) > 1
    small.save_pretrained(tmp_path)
    with torch.no_grad():
        states = load(tmp_path)(**inputs).last_hidden_state
    torch.testing.assert_close(Pooling()(states, inputs.get("attention_mask")), found.logits, atol=1e-5, rtol=0)
