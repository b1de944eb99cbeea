"""Neural Compressor 3.7 through Optimum Intel: what is loaded is what was quantized."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoTokenizer

from minidisc_plugin.integrations.inc import quantization
from minidisc_plugin.nested.checkpoint import as_stock
from tests.nested.test_zoo import make_nested


def test_quantized_weights_are_what_is_loaded(run_files: Path, tmp_path: Path) -> None:
    student, tokenizer = make_nested("bert").extract(0.5), AutoTokenizer.from_pretrained(run_files / "teacher")
    batch = {"input_ids": torch.tensor([[1, 5, 6, 7]]), "attention_mask": torch.ones(1, 4, dtype=torch.long)}
    before = as_stock(student)(**batch).logits
    quantization.quantize(student, tmp_path / "first", None, tokenizer)
    quantization.quantize(student, tmp_path / "second", None, tokenizer)
    first, second = (quantization.load(tmp_path / name) for name in ("first", "second"))
    with torch.no_grad():
        assert torch.equal(first(**batch)["logits"], second(**batch)["logits"])
        assert 0 < (first(**batch)["logits"] - before).abs().max() < 0.2 * before.abs().max()
    assert any("quantized" in type(module).__module__ for module in first.modules())
