"""The model card of a run: ``README.md`` in the run directory, in the form the Hugging Face Hub reads."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from minidisc_plugin.contracts.records import ModelRow, ResultsRecord, ScheduleRecord
from minidisc_plugin.foundation.atomic import write_text
from minidisc_plugin.foundation.model_files.sentence_files import MODULES
from minidisc_plugin.foundation.printable import printable
from minidisc_plugin.foundation.redaction import masked
from minidisc_plugin.nested.remote import has_own_code
from minidisc_plugin.run.reporting.frontier_plot import FRONTIER_FILE
from minidisc_plugin.run.reporting.plot import PLOT_FILE, has_picture
from minidisc_plugin.run.reporting.rows import count, results_grid, score, size
from minidisc_plugin.run.reporting.schedule_rows import choice, schedule_grid, weight
from minidisc_plugin.run.reporting.search_rows import search_grid
from minidisc_plugin.run.reporting.tables import markdown_table
from minidisc_plugin.tasks.registry import TASKS

if TYPE_CHECKING:
    from huggingface_hub import ModelCardData

CARD_FILE = "README.md"

_PIPELINE = "text-classification"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?")
_DATA_FILES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".parquet", ".arrow")
_LOADING = """\
```python
import minidisc_plugin

model = minidisc_plugin.load("student")
```

or, where this package is not installed:

```python
from transformers import AUTO_CLASS

model = AUTO_CLASS.from_pretrained("student", trust_remote_code=True)
```

EMBEDDER

Paths are relative to this folder. The layers differ in width, so the checkpoint brings the few lines of
code that build it; `trust_remote_code=True` lets transformers run them."""

_EMBEDDER = """\
or, for embeddings, as its teacher is loaded:

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("student", trust_remote_code=True)
```"""


def write_model_card(
    run_dir: str | os.PathLike[str],
    schedule: ScheduleRecord,
    results: ResultsRecord,
    *,
    base_model: str,
    task: str,
    dataset: str,
    name: str | None = None,
    file: Path | None = None,
) -> Path:
    """Write the card of a run; call it after the plots, which it shows only if they are there.

    Args:
        run_dir: an existing folder.
        schedule: how the assistant was chosen.
        results: what came of it.
        base_model: name on the Hub, or the local path, of the model that was compressed. Of a path only the
            last part is published.
        task: what the model does; a pipeline tag such as "text-classification", or in other words.
        dataset: name on the Hub, path or description of the data. Of a path only the last part is published.
        name: of the model; that of the folder when left out.
        file: where to write; the card of `run_dir` when left out.

    Returns:
        The path of the card.
    """
    folder = Path(run_dir)
    path = file or folder / CARD_FILE
    front = _front_matter(name or folder.resolve().name, results, base_model, task, dataset)
    body = _body(folder, schedule, results, _public(base_model), task, _public(dataset))
    write_text(path, f"---\n{front.to_yaml()}\n---\n\n{body}\n")
    return path


def _front_matter(name: str, results: ResultsRecord, base_model: str, task: str, dataset: str) -> ModelCardData:
    """The metadata; what the Hub would refuse, such as a local path for a model, is left out."""
    from huggingface_hub import EvalResult, ModelCardData

    student = results.row("student")
    evaluated = None
    if student is not None and student.metric is not None:
        evaluated = [
            EvalResult(
                task_type=_pipeline(task),
                task_name=None if task == _pipeline(task) else task,
                dataset_type=_public(dataset),
                dataset_name=_public(dataset),
                dataset_split=results.split,
                metric_type=results.metric,
                metric_value=student.metric,
            )
        ]
    return ModelCardData(
        library_name="transformers",
        pipeline_tag=_pipeline(task),
        base_model=base_model if _on_hub(base_model) else None,
        base_model_relation="finetune" if _on_hub(base_model) else None,
        datasets=[dataset] if _on_hub(dataset) else None,
        metrics=[results.metric],
        tags=["minidisc", "knowledge-distillation", "pruning", "model-compression"],
        model_name=name if evaluated else None,
        eval_results=evaluated,
    )


def _pipeline(task: str) -> str:
    """The Hub's name of a task; that of classification where it is told in other words."""
    return task if task in TASKS else _PIPELINE


def _body(
    run_dir: Path, schedule: ScheduleRecord, results: ResultsRecord, base_model: str, task: str, dataset: str
) -> str:
    grid = results_grid([results])
    sections = [
        f"# {base_model} compressed to scale {schedule.target_scale:.4g} ({dataset})",
        _summary(schedule, results, base_model, task, dataset),
        "## Models",
        markdown_table(grid),
        *grid.notes,
        _frontier(run_dir),
        _folders(results),
        "## Loading",
        _loading(run_dir).replace("AUTO_CLASS", TASKS[_pipeline(task)].auto_class),
        *_searching(results),
        "## How the assistant was chosen",
        *_choosing(run_dir, schedule),
        "## Made with",
        ", ".join(f"{name} {version}" for name, version in results.versions.items()) or "Versions were not recorded.",
    ]
    return "\n\n".join(section for section in sections if section)


def _summary(schedule: ScheduleRecord, results: ResultsRecord, base_model: str, task: str, dataset: str) -> str:
    lines = [
        f"A model for {task}: `{base_model}` fine-tuned on `{dataset}` is the teacher; the student keeps "
        f"{100 * schedule.target_scale:.3g}% of the encoder's attention heads and feed-forward neurons and "
        f"was distilled {_through(schedule)}."
    ]
    student, teacher = results.row("student"), results.row("teacher")
    if student is not None and student.metric is not None:
        reached = f"It reaches {score(student.metric)} {results.metric.replace('_', ' ')}"
        beside = f" (teacher: {score(teacher.metric)})" if teacher and teacher.metric is not None else ""
        lines.append(f"{reached}{beside} on the {results.split} split{_weight(student)}.")
    return "\n".join(lines)


def _through(schedule: ScheduleRecord) -> str:
    if not schedule.assistants:
        return "from the teacher directly"
    article = "a " if len(schedule.assistants) == 1 else ""
    assistant = f"{article}teacher {choice(schedule)}"
    return {
        "assistant": f"through {assistant}",
        "teacher": f"from the teacher, its weights taken from {assistant}",
        "both": f"from the teacher and {assistant} together",
    }[schedule.guide]


def _weight(row: ModelRow) -> str:
    parts = []
    if row.parameters is not None:
        parts.append(f"{count(row.parameters)} parameters")
    if row.bytes_on_disk is not None:
        parts.append(f"{size(row.bytes_on_disk)} on disk")
    return f", with {' and '.join(parts)}" if parts else ""


def _frontier(run_dir: Path) -> str:
    there = (run_dir / FRONTIER_FILE).is_file()
    return f"![metric against parameters, bytes on disk and milliseconds]({FRONTIER_FILE})" if there else ""


def _loading(run_dir: Path) -> str:
    """How to load the student; one with the code that its teacher came with needs that everywhere."""
    embeds = (run_dir / "student" / MODULES).is_file()
    said = _LOADING.replace("EMBEDDER\n\n", f"{_EMBEDDER}\n\n" if embeds else "")
    trusted = 'load("student", trust_remote_code=True)'
    return said.replace('load("student")', trusted) if has_own_code(run_dir / "student") else said


def _folders(results: ResultsRecord) -> str:
    return "\n".join(f"- `{row.path}/`: {row.role} ({row.runtime})" for row in results.rows if row.path)


def _searching(results: ResultsRecord) -> list[str]:
    grid = search_grid(results)
    return [] if grid is None else ["## How the size was chosen", *grid.notes, markdown_table(grid)]


def _choosing(run_dir: Path, schedule: ScheduleRecord) -> list[str]:
    grid = schedule_grid(schedule)
    how = f"`{schedule.scheduler}`" + weight(schedule, " = ")
    lines = [f"Scheduler {how}: {choice(schedule)}.", *grid.notes]
    if grid.rows:
        lines.append(markdown_table(grid))
    if has_picture(schedule) and (run_dir / PLOT_FILE).is_file():
        compared = "tradeoff" if schedule.lam is not None else "loss"
        seen = f"metric and {compared}" if schedule.lam is not None or schedule.chosen_by else "metric"
        lines.append(f"![{seen} of the candidates by scale]({PLOT_FILE})")
    return lines


def _on_hub(name: str) -> bool:
    """Whether it can be a name on the Hub; a name that is a file's, or exists here, is taken for a path."""
    well_formed = _HUB_ID.fullmatch(name) and not re.search(r"--|\.\.|[.-](/|$)", name)
    return bool(well_formed) and not name.endswith(_DATA_FILES) and not Path(name).exists()


def _public(name: str) -> str:
    return name if _on_hub(name) else printable(masked(Path(masked(name)).name or name))
