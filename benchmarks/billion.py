"""A Llama-like model of a billion parameters through plan, importance, one sandwich step, extraction and saving.

    OMP_NUM_THREADS=1 python benchmarks/billion.py --out billion.json

Weights are random and in bf16, tokens are random; nothing is downloaded. Everything runs in one process, on the CPU
unless there is a GPU. For each stage its seconds and the process's peak resident memory are printed, and written as
JSON. With `--layers 2 --width 64 --vocabulary 512` it ends at once.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from datasets import Dataset
from transformers import LlamaConfig, LlamaForCausalLM, default_data_collator

import minidisc_plugin
from minidisc_plugin import NestedModel
from minidisc_plugin.contracts.distillation import DistillationConfig
from minidisc_plugin.integrations.requirements.diagnosis import installed_versions
from minidisc_plugin.objectives import MiniDiscObjective
from minidisc_plugin.run.measuring.measure import count_parameters, macs
from minidisc_plugin.training.arguments import training_arguments
from minidisc_plugin.training.sandwich import SandwichTrainer
from minidisc_plugin.training.scale_sampler import ScaleSampler

SCALES = (0.5, 0.3)
STUDENT = 0.1
VERSIONS_OF = ("torch", "transformers", "accelerate", "safetensors")


class Stages:
    """Seconds and peak memory of what is done under a name.

    Attributes:
        done: Per stage, its name, seconds, peak resident memory in GiB, and that of tensors on the device, if any.
    """

    def __init__(self) -> None:
        self.done: list[dict[str, Any]] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure what runs inside, and print it."""
        reset_peak()
        start = perf_counter()
        yield
        on_device = device_peak_gib()  # waits until the device has done all its work
        found = {"stage": name, "seconds": round(perf_counter() - start, 1), "peak_gib": round(peak_gib(), 2)}
        found |= {} if on_device is None else {"device_peak_gib": round(on_device, 2)}
        self.done.append(found)
        print(f"{name:<12}{found['seconds']:>9.1f} s{found['peak_gib']:>8.2f} GiB", flush=True)


def reset_peak() -> None:
    """Start the operating system's account of peak resident memory anew (Linux)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_gib() -> float:
    """Peak resident memory since `reset_peak`, in GiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 2**20  # in KiB


def device_peak_gib() -> float | None:
    """Peak of memory that tensors took on the CUDA device since `reset_peak`, in GiB; None without one."""
    if not torch.cuda.is_available():
        return None
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() / 2**30


def make_teacher(options: argparse.Namespace) -> LlamaForCausalLM:
    """The shape of Llama 3.2 1B, unless options say otherwise, with random weights in bf16."""
    heads = options.width // 64
    config = LlamaConfig(
        vocab_size=options.vocabulary,
        hidden_size=options.width,
        num_hidden_layers=options.layers,
        num_attention_heads=heads,
        num_key_value_heads=max(1, heads // 4),
        head_dim=64,
        intermediate_size=4 * options.width,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)  # both releases of transformers then make bf16, never fp32 first
    try:
        with device():  # a processor takes minutes to draw a billion random numbers
            return LlamaForCausalLM(config).eval()
    finally:
        torch.set_default_dtype(torch.float32)


def device() -> torch.device:
    """Where the model is made and stays: a CUDA device, where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def make_examples(options: argparse.Namespace, count: int) -> Dataset:
    """Sentences of random tokens, with labels as text generation has them."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(1, options.vocabulary, (count, options.tokens), generator=generator).tolist()
    masks = [[1] * options.tokens] * count
    return Dataset.from_dict({"input_ids": ids, "attention_mask": masks, "labels": ids})


def run(options: argparse.Namespace) -> dict[str, Any]:
    """All stages; returns what the JSON file holds."""
    stages = Stages()
    examples = make_examples(options, options.batch)
    batch = {name: value.to(device()) for name, value in default_data_collator(list(examples)).items()}
    features = {name: value for name, value in batch.items() if name != "labels"}

    with stages.stage("make"):
        teacher = make_teacher(options)
    with stages.stage("plan"):
        nested = NestedModel(copy.deepcopy(teacher))
        planned = nested.describe([1.0, *SCALES, STUDENT])
        sizes = []
        for candidate in planned:
            nested.set_scale(candidate.scale)
            one = {name: value[:1] for name, value in features.items()}
            sizes.append(
                {"scale": candidate.scale, "parameters": candidate.parameters, "macs": macs(nested.model, one)}
            )
    with stages.stage("importance"):
        nested.rank([batch])
    with stages.stage("sandwich"), tempfile.TemporaryDirectory() as folder:
        nested.trim(SCALES[0])
        settings = {
            "max_steps": 1,
            "learning_rate": 1e-4,
            "warmup_steps": 0,
            "per_device_train_batch_size": options.batch,
            "gradient_checkpointing": True,
            "save_strategy": "no",
            "group_by_length": False,
            "disable_tqdm": True,
        }
        trainer = SandwichTrainer(
            nested,
            ScaleSampler([*SCALES, STUDENT], "sandwich"),
            teacher=teacher,
            objective=MiniDiscObjective(DistillationConfig(), regression=False),
            args=training_arguments(settings, Path(folder)),
            train_dataset=examples,
            data_collator=default_data_collator,
        )
        loss = trainer.train().training_loss
        trainer.accelerator.free_memory()
        nested.model.zero_grad(set_to_none=True)
        del trainer
    with stages.stage("extract"):
        student = nested.extract(STUDENT)
    with stages.stage("save, load"), tempfile.TemporaryDirectory() as folder:
        student.save_pretrained(folder, max_shard_size=options.shard)
        files = sorted(path.name for path in Path(folder).glob("*.safetensors"))
        loaded = minidisc_plugin.load(folder, torch_dtype="auto")
        check(student, loaded, {name: value[:1, :16].to(loaded.device) for name, value in features.items()})

    return {
        "model": {"parameters": count_parameters(teacher), "dtype": str(teacher.dtype)},
        "batch": {"examples": options.batch, "tokens": options.tokens},
        "scales": sizes,
        "loss": loss,
        "student": {"parameters": count_parameters(student), "files": files},
        "stages": stages.done,
        "peak_gib": max(stage["peak_gib"] for stage in stages.done),
        "seconds": round(sum(stage["seconds"] for stage in stages.done), 1),
        "machine": {
            "processor": processor(),
            "capability": torch.backends.cpu.get_cpu_capability(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
        },
        "versions": {name: version for name, version in installed_versions().items() if name in VERSIONS_OF},
    }


@torch.no_grad()
def check(student: Any, loaded: Any, features: dict[str, torch.Tensor]) -> None:
    """The saved student is the student: bf16, tied, and of the same logits.

    Raises:
        AssertionError: it is not.
    """
    for model in (student, loaded):
        assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
        assert model.lm_head.weight is model.model.embed_tokens.weight
    student.to(loaded.device)
    assert torch.equal(student(**features).logits, loaded(**features).logits)


def processor() -> str:
    """The processor's name as the system gives it."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())


def main() -> None:
    """Run, print, and write JSON where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--width", type=int, default=2048, help="a multiple of 64; heads and neurons follow")
    parser.add_argument("--vocabulary", type=int, default=128256)
    parser.add_argument("--batch", type=int, default=2, help="sequences; the same for importance and the step")
    parser.add_argument("--tokens", type=int, default=8, help="of each sequence")
    parser.add_argument("--shard", default="200MB", help="largest file of the saved student")
    parser.add_argument("--out", help="JSON file to write")
    options = parser.parse_args()
    found = run(options)
    print(f"{'in all':<12}{found['seconds']:>9.1f} s{found['peak_gib']:>8.2f} GiB")
    if options.out:
        Path(options.out).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
