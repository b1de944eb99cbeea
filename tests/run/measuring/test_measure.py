from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from torch import nn

from minidisc_plugin.foundation.errors import RunDirectoryError
from minidisc_plugin.run.measuring.measure import bytes_on_disk, count_parameters, macs, time_models

HIDDEN, HEADS, FFN, LAYERS, TOKENS, LABELS = 16, 4, 24, 3, 7, 2


class OneInput(nn.Module):
    """A module under the calling convention of transformers."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)


class Sleeper(nn.Module):
    """Takes its time, and notes in which order it and the others ran."""

    def __init__(self, name: str, seconds: float, diary: list[tuple[str, bool, bool]]) -> None:
        super().__init__()
        self.name, self.seconds, self.diary = name, seconds, diary
        self.inner = nn.Dropout()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.diary.append((self.name, self.training or self.inner.training, torch.is_inference_mode_enabled()))
        time.sleep(self.seconds)
        return x


def tiny_bert(attention: str) -> nn.Module:
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=50,
        hidden_size=HIDDEN,
        num_attention_heads=HEADS,
        intermediate_size=FFN,
        num_hidden_layers=LAYERS,
        num_labels=LABELS,
        attn_implementation=attention,
    )
    return transformers.BertForSequenceClassification(config)


def test_count_parameters_counts_shared_ones_once() -> None:
    model = nn.Sequential(nn.Linear(3, 5), nn.Linear(3, 5))
    assert count_parameters(model) == 2 * (3 * 5 + 5)
    model[1].weight = model[0].weight
    assert count_parameters(model) == 3 * 5 + 2 * 5


@pytest.mark.parametrize("examples", [1, 4])
def test_macs_of_a_linear_layer_are_per_example(examples: int) -> None:
    batch = {"x": torch.zeros(examples, 7, 3)}
    assert macs(OneInput(nn.Linear(3, 5)), batch) == 7 * 3 * 5
    assert macs(OneInput(nn.Linear(3, 5, bias=False)), batch) == 7 * 3 * 5


class HandsOnParameters(nn.Module):
    """A module that gives its own parameter, and a view of it, to others."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.ones(4, 3))
        self.inner = OneInput(nn.Identity())
        self.last = nn.Linear(3, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        table = self.inner(self.table) + self.inner(self.table[:1].expand(4, 3))
        return self.last(x + table[0])


def test_macs_of_a_module_that_hands_on_bare_parameters() -> None:
    model = HandsOnParameters()
    assert macs(model, {"x": torch.zeros(2, 3)}) == 3 * 5
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("masked", [False, True])
def test_macs_of_a_bert_computed_by_hand(attention: str, masked: bool) -> None:
    model = tiny_bert(attention)
    mask = torch.ones(2, TOKENS, dtype=torch.long)
    if masked:
        mask[1, 4:] = 0
    batch = {"input_ids": torch.zeros(2, TOKENS, dtype=torch.long), "attention_mask": mask}
    projections = 4 * TOKENS * HIDDEN * HIDDEN
    attended = 2 * TOKENS * TOKENS * HIDDEN
    feed_forward = 2 * TOKENS * HIDDEN * FFN
    head = HIDDEN * HIDDEN + HIDDEN * LABELS
    assert macs(model, batch) == LAYERS * (projections + attended + feed_forward) + head


def test_macs_leaves_the_mode_as_it_was() -> None:
    model = OneInput(nn.Sequential(nn.Dropout(), nn.Linear(3, 5)))
    model.train()
    model.inner[0].eval()
    macs(model, {"x": torch.zeros(1, 3)})
    assert model.training and not model.inner[0].training and model.inner[1].training


def _files(folder: Path, **sizes: int) -> Path:
    folder.mkdir()
    for name, size in sizes.items():
        (folder / name.replace("__", ".")).write_bytes(b"x" * size)
    return folder


def test_bytes_on_disk_takes_weights_only(tmp_path: Path) -> None:
    sharded = {"model-1-of-2__safetensors": 100, "model-2-of-2__safetensors": 20}
    others = {"config__json": 1000, "training_args__bin": 1000, "optimizer__pt": 1000, "spiece__model": 1000}
    assert bytes_on_disk(_files(tmp_path / "torch", **sharded, **others)) == 120
    assert bytes_on_disk(_files(tmp_path / "both", model__safetensors=100, pytorch_model__bin=7)) == 100
    assert bytes_on_disk(_files(tmp_path / "old", pytorch_model__bin=7)) == 7
    every = {"model__safetensors": 100, "model__onnx": 9, "openvino_model__xml": 1, "openvino_model__bin": 8}
    assert bytes_on_disk(_files(tmp_path / "every", **every)) == 100
    openvino = {"openvino_model__xml": 3, "openvino_model__bin": 40, "openvino_tokenizer__bin": 500}
    assert bytes_on_disk(_files(tmp_path / "openvino", **openvino)) == 43
    assert bytes_on_disk(str(_files(tmp_path / "onnx", model__onnx=5, model__onnx_data=60))) == 65


def test_bytes_on_disk_of_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="not a folder"):
        bytes_on_disk(tmp_path / "missing")
    with pytest.raises(RunDirectoryError, match="no weights"):
        bytes_on_disk(_files(tmp_path / "empty", config__json=3))


def test_time_models_interleaves_and_reports_medians() -> None:
    diary: list[tuple[str, bool, bool]] = []
    models = {"slow": Sleeper("slow", 0.012, diary), "fast": Sleeper("fast", 0.003, diary)}
    models["slow"].train()
    timings = time_models(models, {"x": torch.zeros(1, 4)}, {"x": torch.zeros(32, 4)}, seconds=0.8, warmup=1)
    assert set(timings) == {"slow", "fast"}
    assert 12.0 <= timings["slow"].latency_ms_batch1 < 60.0
    assert 3.0 <= timings["fast"].latency_ms_batch1 < timings["slow"].latency_ms_batch1
    assert 32 / 0.060 < timings["slow"].throughput_batch32 <= 32 / 0.012
    assert timings["slow"].throughput_batch32 < timings["fast"].throughput_batch32 <= 32 / 0.003
    names = [name for name, _, _ in diary]
    pairs = {tuple(names[n : n + 2]) for n in range(0, len(names), 2)}
    assert pairs == {("slow", "fast"), ("fast", "slow")}, "one pass of each per round, in either order"
    assert not any(training for _, training, _ in diary) and all(inference for _, _, inference in diary)
    assert models["slow"].training and models["slow"].inner.training


def test_time_models_keeps_to_its_time() -> None:
    model = {"m": Sleeper("m", 0.05, [])}
    start = time.perf_counter()
    time_models(model, {"x": torch.zeros(1)}, {"x": torch.zeros(32)}, seconds=0.0, warmup=50)
    # One warm-up pass and one round of each batch: 4 passes of 50 ms, not 102.
    assert 0.2 <= time.perf_counter() - start < 2.0


def test_time_models_stops_after_enough_rounds() -> None:
    diary: list[tuple[str, bool, bool]] = []
    batches = {"x": torch.zeros(1)}, {"x": torch.zeros(32)}
    time_models({"m": Sleeper("m", 0.0, diary)}, *batches, seconds=60.0, warmup=3, rounds=5)
    assert len(diary) == 2 * (3 + 5)


def test_time_models_runs_a_real_model() -> None:
    model = tiny_bert("sdpa")

    def batch(size: int) -> dict[str, torch.Tensor]:
        return {"input_ids": torch.zeros(size, TOKENS, dtype=torch.long)}

    start = time.perf_counter()
    timing = time_models({"bert": model}, batch(1), batch(32), seconds=0.3)["bert"]
    elapsed = time.perf_counter() - start
    assert 0 < timing.latency_ms_batch1 < 1e3 * elapsed
    assert timing.throughput_batch32 > 32 / elapsed


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_the_work_is_waited_for_and_counted() -> None:
    model = OneInput(nn.Sequential(*(nn.Linear(4096, 4096) for _ in range(16)))).cuda()
    one, many = {"x": torch.zeros(1, 4096)}, {"x": torch.zeros(8192, 4096)}
    assert macs(model, one) == 16 * 4096 * 4096
    timing = time_models({"m": model}, one, many, seconds=2.0)["m"]
    # 4.4 TFLOP a batch: no GPU does 1,000 of those a second in fp32, but launching the kernels takes no time.
    assert timing.throughput_batch32 < 8192 * 1000


def test_macs_of_a_model_whose_first_layer_has_no_heads_left() -> None:
    import torch

    from minidisc_plugin import NestedModel
    from tests.builders.tiny import make_bert
    from tests.nested.crafting import make_ranking

    nested = NestedModel(make_bert())
    nested.apply_ranking(make_ranking(headless=0))
    small = nested.extract(0.5)
    assert small.config.layer_sizes["heads"][0] == 0
    batch = {"input_ids": torch.ones(1, 8, dtype=torch.long), "attention_mask": torch.ones(1, 8, dtype=torch.long)}
    assert 0 < macs(small, batch) < macs(make_bert(), batch)
