"""Where the time of an optimizer step goes: shares of its operators, by torch's profiler.

    python -m benchmarks.step_profile CONFIG [--set KEY=VALUE ...] [--steps 10] [--out FILE]

Steps of a run's first training stage, after a few to warm up; the teacher's forward pass counts where it runs in a
step. Shares are of the operators' own time, those they call left out.
"""

from __future__ import annotations

import argparse
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch.profiler import ProfilerActivity, profile
from transformers import TrainerCallback

from benchmarks.step_time import StageEnded
from minidisc_plugin.run.config.file import read_config
from minidisc_plugin.run.preparation import prepare
from minidisc_plugin.run.workbench import workbench_of

WARM_UP = 3

# Operators by the kind of work that they are, in the order in which a name is looked for.
KINDS = {
    "matrix products": ("mm", "addmm", "bmm", "linear"),
    "attention": ("scaled_dot_product", "softmax"),
    "dropout": ("bernoulli", "dropout"),
    "optimizer": ("adam", "norm_except", "linalg_vector_norm", "foreach"),
    "layer norm": ("layer_norm",),
    "GELU": ("gelu",),
    "zeros": ("fill_", "zero"),
    "embeddings": ("embedding", "index"),
}
REST = "elementwise, copies, the rest"


class StepProfile(TrainerCallback):  # type: ignore[misc]
    """Profiles some steps, and ends the run after them.

    Args:
        steps: How many, after the warm-up.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.profiler = profile(activities=[ProfilerActivity.CPU])

    def __deepcopy__(self, memo: dict[int, Any]) -> StepProfile:
        """Itself: the workbench gives every stage copies, and this one is read afterwards."""
        return self

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin after the warm-up, end after the last step."""
        if state.global_step == WARM_UP:
            self.profiler.start()
        elif state.global_step == WARM_UP + self.steps:
            self.profiler.stop()
            raise StageEnded


def kind_of(operator: str) -> str:
    """The kind of work of an operator."""
    name = operator.removeprefix("aten::").lower()
    return next((kind for kind, parts in KINDS.items() if any(part in name for part in parts)), REST)


def main() -> None:
    """Profile, print, and write JSON where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="compression config whose teacher and data are there already")
    parser.add_argument("--set", dest="overrides", metavar="KEY=VALUE", action="append", default=[])
    parser.add_argument("--steps", type=int, default=10, help="how many are profiled (10)")
    parser.add_argument("--out", help="JSON file to write")
    options = parser.parse_args()
    config = read_config(options.config, options.overrides)
    prepared = prepare(config, Path(config.output_dir))
    profiled = StepProfile(options.steps)
    bench = workbench_of(prepared, callbacks=[profiled])
    with suppress(StageEnded):
        prepared.scheduler.run(bench)
    milliseconds: dict[str, float] = {}
    for event in profiled.profiler.key_averages():
        kind = kind_of(event.key)
        spent = event.self_cpu_time_total / 1000 / options.steps
        milliseconds[kind] = milliseconds.get(kind, 0.0) + spent
    whole = sum(milliseconds.values())
    print(f"{'a step':<32}{whole:>9.0f} ms")
    for kind, spent in sorted(milliseconds.items(), key=lambda item: -item[1]):
        print(f"{kind:<32}{spent:>9.1f} ms{spent / whole:>8.0%}")
    if options.out:
        found = {kind: round(spent, 2) for kind, spent in milliseconds.items()}
        Path(options.out).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
