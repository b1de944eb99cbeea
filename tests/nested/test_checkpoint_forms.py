"""Checkpoints in the forms people keep them: sharded, tied, in bf16, placed by a device map, adapted by LoRA."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

import minidisc_plugin
from tests.builders.zoo import make_inputs, outputs_of
from tests.nested.test_zoo import make_nested

# One checkpoint with a modelling file and one stock checkpoint; both with tied embeddings, but Llama's.
STUDENTS = [("gpt2", "global"), ("t5", "global"), ("t5", "uniform"), ("gemma", "uniform"), ("llama", "uniform")]
every_student = pytest.mark.parametrize(("case", "allocation"), STUDENTS)


def student(case: str, allocation: str) -> PreTrainedModel:
    return make_nested(case, allocation).extract(0.5)


@every_student
def test_shards_are_put_together_again(case: str, allocation: str, tmp_path: Path) -> None:
    model, inputs = student(case, allocation), make_inputs(case)
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    torch.testing.assert_close(
        outputs_of(minidisc_plugin.load(tmp_path), inputs), outputs_of(model, inputs), atol=1e-6, rtol=0
    )


@every_student
def test_tied_embeddings_stay_tied(case: str, allocation: str, tmp_path: Path) -> None:
    model = student(case, allocation)
    assert (model.get_output_embeddings().weight is model.get_input_embeddings().weight) == (case != "llama")
    model.save_pretrained(tmp_path)
    loaded = minidisc_plugin.load(tmp_path)
    assert (loaded.get_output_embeddings().weight is loaded.get_input_embeddings().weight) == (case != "llama")


@every_student
def test_weights_in_bf16_stay_so(case: str, allocation: str, tmp_path: Path) -> None:
    nested, inputs = make_nested(case, allocation), make_inputs(case)
    nested.model.to(torch.bfloat16)
    nested.set_scale(0.5)
    expected = outputs_of(nested.model, inputs)
    model = nested.extract(0.5)
    model.save_pretrained(tmp_path)
    loaded = minidisc_plugin.load(tmp_path, torch_dtype="auto")
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.bfloat16}
    torch.testing.assert_close(outputs_of(loaded, inputs), expected, atol=0.05, rtol=0.05)


@every_student
def test_a_device_map_places_it(case: str, allocation: str, tmp_path: Path) -> None:
    model, inputs = student(case, allocation), make_inputs(case)
    model.save_pretrained(tmp_path)
    loaded = minidisc_plugin.load(tmp_path, device_map="auto")
    place = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    assert {parameter.device.type for parameter in loaded.parameters()} == {place.type}
    found = outputs_of(loaded, {name: value.to(place) for name, value in inputs.items()}).cpu()
    torch.testing.assert_close(found, outputs_of(model, inputs), atol=1e-6 if place.type == "cpu" else 1e-4, rtol=0)


@every_student
def test_lora_on_top_trains_and_merges(case: str, allocation: str, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    model, inputs = student(case, allocation), make_inputs(case)
    targets = {"gpt2": ["c_attn", "c_fc"], "t5": ["q", "v"]}.get(case, ["q_proj", "down_proj"])
    # PEFT finds its targets by name, also where no unit is left.
    gone = [name for name, module in model.named_modules() if type(module).__name__ in ("Nothing", "Constant")]
    settings = peft.LoraConfig(r=2, target_modules=targets, exclude_modules=gone or None)
    adapted = peft.get_peft_model(copy.deepcopy(model), settings)
    optimizer = torch.optim.AdamW([p for p in adapted.parameters() if p.requires_grad], 1e-2)
    before = adapted(**inputs).loss
    before.backward()
    optimizer.step()
    optimizer.zero_grad()
    second = adapted(**inputs).loss
    second.backward()
    optimizer.step()
    assert adapted(**inputs).loss < before
    merged = adapted.merge_and_unload().eval()
    merged.save_pretrained(tmp_path)
    torch.testing.assert_close(
        outputs_of(minidisc_plugin.load(tmp_path), inputs), outputs_of(merged, inputs), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize(("case", "allocation"), [("gpt2", "global"), ("llama", "uniform"), ("t5", "global")])
def test_it_generates(case: str, allocation: str, tmp_path: Path) -> None:
    model, inputs = student(case, allocation), make_inputs(case)
    model.save_pretrained(tmp_path)
    given = {"input_ids": inputs["input_ids"][:1], "attention_mask": inputs["attention_mask"][:1]}
    wanted = {"max_new_tokens": 5, "min_new_tokens": 5, "do_sample": False}
    with_cache = minidisc_plugin.load(tmp_path).generate(**given, **wanted)
    without = model.generate(**given, **wanted, use_cache=False)
    assert torch.equal(with_cache, without)
