"""`minidisc plan`, printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minidisc_plugin.contracts.output import SEARCH
from minidisc_plugin.foundation.disks import free_bytes
from minidisc_plugin.run.plan.plan import Plan
from minidisc_plugin.run.plan.stage_costs import PASSES_OF_A_TRAINED_EXAMPLE, StageCost
from minidisc_plugin.run.reporting.console import standard_output, text
from minidisc_plugin.run.reporting.rows import NOTHING, count, derived, drawn_from, duration, sentence, size

FEW_STEPS = 200

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console


_OF_A_SEARCH = (
    "The students are those that are made where none is good enough; where one is, smaller ones are made, and at most "
    "one more of them. "
)


def print_plan(plan: Plan, console: Console | None = None) -> None:
    """Print candidates with their sizes, stages with their cost, and what a run would write."""
    from rich import box
    from rich.table import Table

    console = console or standard_output()
    sizes = Table(title=text(f"{plan.scheduler}: candidates", "table.title"), title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("scale", "heads per layer", "neurons per layer", "params", "encoder params", "MACs"):
        sizes.add_column(name, justify="left" if "layer" in name else "right")
    students = {record.scale for record in plan.students}
    others = [(candidate, "") for candidate in plan.candidates if candidate.scale not in students]
    named = [(plan.teacher, "teacher"), *others, *((student, "student") for student in plan.students)]
    for record, role in sorted(named, key=lambda row: -row[0].scale):
        sizes.add_row(
            f"{role} {record.scale:g}".strip(),
            " ".join(map(str, record.heads)),
            " ".join(map(str, record.neurons)),
            count(record.parameters),
            count(record.encoder_parameters),
            count(plan.macs[record.scale]),
        )
    console.print(sizes)
    told = f" {sentence(derived(plan.derived_family))}" if plan.derived_family else ""
    median = ", the median length" if plan.timed_on.sequence_length else ""
    console.print(text(f"MACs of one example of {plan.timed_on}{median}.{told}\n"))

    costs = Table(title="stages", title_justify="left", box=box.SIMPLE_HEAD)
    costs.add_column("stage")
    costs.add_column("steps", justify="right")
    costs.add_column("relative cost", justify="right")
    if plan.calibration:
        costs.add_column("relative time", justify="right")
        costs.add_column("about", justify="right")
    in_all = StageCost(
        "in all",
        sum(stage.steps for stage in plan.stages),
        sum(stage.relative_cost for stage in plan.stages),
        sum(stage.seconds or 0.0 for stage in plan.stages),
        sum(stage.relative_time or 0.0 for stage in plan.stages),
    )
    for stage in (*plan.stages, in_all):
        if stage is in_all:
            costs.add_section()
        row = [stage.name, f"{stage.steps:,}", f"{stage.relative_cost:.2f}"]
        if plan.calibration:
            row += [f"{stage.relative_time:.2f}", duration(stage.seconds or 0.0)]
        costs.add_row(*map(text, row))
    console.print(costs)
    console.print(_priced(plan) + "\n")
    _print_short_stages(plan.stages, console)
    _print_memory(plan, console)
    _print_space(plan, console)
    _print_serving(plan, console)
    _print_writes(plan, console)


def _print_writes(plan: Plan, console: Console) -> None:
    console.print(text(f"would write into {plan.output_dir}:"))
    width = max(map(len, plan.writes))
    for name, content in plan.writes.items():
        console.print(text(f"  {name:<{width}}  {content}"))


def _print_short_stages(stages: Sequence[StageCost], console: Console) -> None:
    """Say which stages are over before a small student has learned what it can."""
    short = [stage for stage in stages if stage.steps < FEW_STEPS]
    if not short:
        return
    named = ", ".join(f"{stage.name} ({stage.steps:,})" for stage in short)
    times = -(-FEW_STEPS // max(1, min(stage.steps for stage in short)))
    console.print(
        text(
            f"Fewer than {FEW_STEPS} steps: {named}. A small student is better for more of them, or larger ones: try "
            f"{times} times training.num_train_epochs, or a higher training.learning_rate, on validation data.\n"
        )
    )


def _priced(plan: Plan) -> str:
    """What the numbers of stages are."""
    return (
        "Cost by MACs; 1 is fine-tuning the teacher for as many epochs, "
        f"{PASSES_OF_A_TRAINED_EXAMPLE} forward passes an example. An assistant that is not chosen yet "
        "is priced as the largest it can be. "
        + (_OF_A_SEARCH if plan.searches else "")
        + (sentence(drawn_from(plan.rows)) + " " if plan.rows else "")
        + ("Teachers run once for each example. " if plan.cached else "")
        + _calibrated(plan)
    )


def _calibrated(plan: Plan) -> str:
    if plan.calibration is None:
        return ""
    batch = plan.timed_on.batch(plan.calibration.examples, plan.calibration.tokens)
    return f"Time as measured here just now, on {batch}: loading, importance, evaluation and export come on top."


def _print_memory(plan: Plan, console: Console) -> None:
    from rich import box
    from rich.table import Table

    memory = plan.memory
    table = Table(title="memory of each device, largest stage", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("teacher", "network", "gradients", "optimizer", "activations"):
        table.add_column(name, justify="right")
    kept = (memory.teacher, memory.network, memory.gradients, memory.optimizer)
    table.add_row(*map(size, kept), size(memory.activations))
    console.print(table)
    shared = f", divided over {memory.devices} by FSDP" if memory.devices > 1 else ""
    batch = plan.timed_on.batch(memory.examples, memory.tokens)
    console.print(
        f"Weights, gradients and optimizer states in the types of the weights{shared}. Activations: of the largest "
        f"scale, {batch}, without gradient checkpointing; they grow with both. The "
        "teacher's passing ones, and what libraries take, come on top.\n"
    )


def _print_space(plan: Plan, console: Console) -> None:
    from rich import box
    from rich.table import Table

    space, output_dir = plan.space, plan.output_dir
    table = Table(title="room on disk, at most", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("checkpoints", "finished stages", "models", "teacher's exports", "teachers' outputs"):
        table.add_column(name, justify="right")
    table.add_row(*map(size, (space.checkpoints, space.stages, space.models, space.scratch, space.cache)))
    console.print(table)
    shared = f" (outputs in {space.cache_folder})" if space.cache_folder and space.cache else ""
    needed, free = size(space.in_output_dir), size(free_bytes(output_dir))
    console.print(text(f"{needed} in {output_dir} while the run lasts{shared}; {free} are free there."))
    staying = f"Models stay, finished stages in {SEARCH}/," if plan.searches else "Models stay,"
    console.print(f"{staying} and all else goes at the end.\n")


def _print_serving(plan: Plan, console: Console) -> None:
    """What teacher and student do on a CUDA device; says nothing where there is none."""
    from rich import box
    from rich.table import Table

    if not plan.serving:
        return
    table = Table(title="serving on this device", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("model", "ex/s at best batch", "batch", "peak GiB", "ms by graph"):
        table.add_column(name, justify="left" if name == "model" else "right")
    for scale, found in plan.serving.items():
        best, latency = found.saturated, found.latency_ms_graph
        cells = (f"{best.throughput:,.0f}", f"{best.batch:,}", f"{best.memory_gib:.2f}")
        name = "teacher" if scale == 1.0 else f"student {scale:g}"
        table.add_row(name, *cells, NOTHING if latency is None else f"{latency:.2f}")
    console.print(table)
    console.print(
        f"Examples of {plan.timed_on}, in the type of the teacher's weights; the batch is doubled until "
        "that gains less than a tenth.\n"
    )
