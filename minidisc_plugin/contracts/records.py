"""What a run leaves behind: the typed content of ``schedule.json`` and ``results.json``.

Records never change once made (``record.model_copy(update=...)`` gives a changed copy). JSON has no NaN: a
measurement that is NaN or infinite becomes ``None`` in the record and ``null`` in the file.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from minidisc_plugin.contracts.budget import Budget
from minidisc_plugin.contracts.output import student_of
from minidisc_plugin.contracts.rules import Rule
from minidisc_plugin.contracts.values import Guide
from minidisc_plugin.foundation import atomic
from minidisc_plugin.foundation.errors import RunDirectoryError

SCHEDULE_FILE = "schedule.json"
RESULTS_FILE = "results.json"

_ROUNDING = 1e-6


def _finite(value: Any) -> Any:
    """None instead of NaN and the infinities; everything else is left for the field's type to judge."""
    try:
        return value if math.isfinite(value) else None
    except TypeError:
        return value


def _unit(value: Any) -> Any:
    """As `_finite`, and a correlation of 1.0000000000000002 is 1."""
    value = _finite(value)
    if isinstance(value, float) and -_ROUNDING <= value <= 1 + _ROUNDING:
        return min(max(value, 0.0), 1.0)
    return value


Share = Annotated[float, Field(ge=0, le=1)]
Measured = Annotated[float | None, BeforeValidator(_finite)]
UnitMeasured = Annotated[float | None, Field(ge=0, le=1), BeforeValidator(_unit)]
Count = Annotated[int, Field(ge=0)]
Seconds = dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="null", protected_namespaces=())


class Resampled(_Record):
    """What a candidate scored when the selection split was drawn anew, draw by draw; the same draws for all candidates.

    Their differences are those of a paired bootstrap. What was not defined for a draw is None.
    """

    metric: list[UnitMeasured] = Field(default_factory=list, description="in [0, 1]; empty where it cannot be drawn")
    log_loss: list[Measured] = Field(default_factory=list)
    gap: list[Measured] = Field(default_factory=list)


class Candidate(_Record):
    """One assistant that could have been: a prefix slice of the parameter-shared network."""

    scale: Share = Field(description="share of the encoder's heads and neurons that is kept")
    sparsity: Share = Field(description="1 - scale")
    heads: list[Count] = Field(description="heads kept, one number per attention (groups of a key-value head)")
    neurons: list[Count] = Field(description="neurons kept, one number per feed-forward network")
    parameters: Count = Field(description="parameters of the whole model")
    encoder_parameters: Count = Field(description="parameters of the encoder's layers")
    metric: UnitMeasured = Field(default=None, description="selection metric, brought to [0, 1]")
    raw_metric: Measured = Field(default=None, description="the same metric as it is reported")
    metric_interval: tuple[Share, Share] | None = Field(
        default=None, description="95% interval of `metric`, by the paired bootstrap over the selection split"
    )
    log_loss: Measured = Field(
        default=None, description="mean loss on the labels of the selection split, nats; squared error of a regression"
    )
    gap: Measured = Field(
        default=None, description="mean divergence of the student's slice from it, KL(candidate || slice), nats"
    )
    tradeoff: Measured = Field(default=None, description="metric + lambda * (1 - scale), where that is the rule")
    chosen_in: Share | None = Field(
        default=None, description="share of the bootstrap's draws in which it would have become an assistant"
    )
    dropped_after: Count | None = Field(
        default=None, description="epoch after which it was trained no longer, for it had fallen behind"
    )
    selected: bool = Field(default=False, description="whether it became an assistant")
    resampled: Resampled | None = Field(default=None, description="what it scored on each draw of the bootstrap")


class ScheduleRecord(_Record):
    """``schedule.json``: which candidates there were, what they scored and which of them was chosen."""

    scheduler: str
    lam: Measured = Field(
        default=None,
        validation_alias=AliasChoices("lambda", "lam"),
        serialization_alias="lambda",
        description="weight of the sparsity in the tradeoff",
    )
    metric: str = Field(description="name of the selection metric")
    lambda_range: tuple[Measured, Measured] | None = Field(
        default=None, description="from which lambda to which the choice is this one; null: however large"
    )
    chosen_by: Rule | None = Field(default=None, description="name of the rule that chose among candidates, if one did")
    gap_weight: Measured = Field(default=None, description="weight of the divergence in the rule `gap`")
    measured_on: Literal["candidate", "student"] = Field(
        default="candidate",
        description="what `metric` of a candidate is about: itself, or the student distilled from it",
    )
    rule: str = Field(description="how the choice was made, in a sentence")
    target_scale: Share
    target_sparsity: Share
    assistants: list[Share] = Field(description="scales chosen, in the order they are used; none: direct")
    guide: Guide = Field(default="assistant", description="what the student follows once there is an assistant")
    candidates: list[Candidate]
    seconds: Seconds = Field(
        default_factory=dict, description="wall-clock time of each stage, in the process that ended it"
    )


class ModelRow(_Record):
    """One model of the run, measured. What was not measured is None."""

    role: str = Field(description='"teacher", "assistant" (numbered where there are several) or "student"')
    scale: Share
    metric: Measured = Field(default=None, description="on the reported split, as the metric reports it")
    perplexity: Measured = Field(default=None, description="of a language model: e to the mean loss of a token")
    texts: dict[str, Measured] = Field(
        default_factory=dict, description="what `generation.metrics` say of the texts that it writes, by name"
    )
    parameters: Count | None = None
    encoder_parameters: Count | None = None
    macs: Count | None = Field(default=None, description="multiply-accumulates of one example")
    bytes_on_disk: Count | None = Field(default=None, description="of the weight files")
    latency_ms_batch1: Measured = Field(default=None, description="median milliseconds of one example")
    throughput_batch32: Measured = Field(default=None, description="examples per second, 32 at a time")
    latency_ms_graph: Measured = Field(
        default=None, description="the same on a CUDA device, all kernels launched at once, as a CUDA graph"
    )
    throughput_saturated: Measured = Field(
        default=None, description="examples per second at the batch that saturates a CUDA device"
    )
    saturating_batch: Count | None = Field(default=None, description="examples of that batch")
    saturated_gib: Measured = Field(default=None, description="peak of the device's memory meanwhile, GiB")
    lost: Measured = Field(
        default=None, description="share of its range that the metric lost against the student in torch, if quantized"
    )
    lost_too_much: bool = Field(default=False, description="whether that is more than `quantization.max_loss`")
    runtime: str = "torch fp32"
    path: str | None = Field(default=None, description="folder, relative to the run directory")


class ResultsRecord(_Record):
    """``results.json``: the models of the run next to each other, and how they were measured."""

    scheduler: str
    task: str = Field(default="text-classification", description="what the models do, in Optimum's terms")
    metric: str = Field(description="name of the reported metric")
    split: str = Field(description="name of the reported split")
    examples: Count = Field(description="size of that split")
    judged_by_teacher: bool = Field(
        default=False, description="whether the metric compares models with the teacher, as that split has no scores"
    )
    sequence_length: Annotated[int | None, Field(gt=0)] = Field(
        default=None, description="tokens of each timed example; null where it is none of tokens"
    )
    image_size: tuple[int, int] | None = Field(default=None, description="height and width of each timed image, pixels")
    audio_size: tuple[int, ...] | None = Field(
        default=None, description="samples of each timed sound, or both sides of its spectrogram"
    )
    choices: Count | None = Field(default=None, description="choices of each timed example of multiple choice")
    rows: list[ModelRow]
    seconds: Seconds = Field(default_factory=dict, description="wall-clock time of each step")
    half_precision: dict[str, float] = Field(
        default_factory=dict, description="seconds of a training step by precision, where they decided which to take"
    )
    drawn_from: dict[str, Count] = Field(
        default_factory=dict,
        description="examples that each epoch drew as many from as there are labelled ones, by where they come from; "
        "empty where labelled ones are all",
    )
    budget: Budget | None = Field(default=None, description="what stood in place of a sparsity, if anything")
    derived_family: str | None = Field(
        default=None, description="model type, where no family is declared for it and one was derived and verified"
    )
    versions: dict[str, str] = Field(default_factory=dict, description="library -> version")
    seed: int
    device: str
    threads: Count = Field(description="CPU threads of torch")

    def row(self, role: str) -> ModelRow | None:
        """The first row with this role, or None."""
        return next((row for row in self.rows if row.role == role), None)

    def teacher_in(self, runtime: str) -> ModelRow | None:
        """The teacher's row in the runtime of that name, whatever the precision, or None."""
        engine = runtime.partition(" ")[0]
        return next((row for row in self.rows if row.role == "teacher" and row.runtime.split(" ")[0] == engine), None)


_R = TypeVar("_R", bound=_Record)


def students_in(run_dir: str | os.PathLike[str]) -> list[Path]:
    """The folder of each student of a run, from the largest to the smallest; of one student that is the run's own."""
    folder = Path(run_dir)
    if (folder / SCHEDULE_FILE).exists() or not folder.is_dir():
        return [folder]
    parts = (path for path in folder.iterdir() if student_of(path.name))
    found = (path for path in parts if (path / SCHEDULE_FILE).exists())
    return sorted(found, key=lambda path: read_schedule(path).target_sparsity) or [folder]


def read_schedule(run_dir: str | os.PathLike[str]) -> ScheduleRecord:
    """The schedule of a run.

    Raises:
        RunDirectoryError: there is none, or it cannot be understood.
    """
    return _read(Path(run_dir), SCHEDULE_FILE, ScheduleRecord)


def read_results(run_dir: str | os.PathLike[str]) -> ResultsRecord:
    """The results of a run.

    Raises:
        RunDirectoryError: there are none, or they cannot be understood.
    """
    return _read(Path(run_dir), RESULTS_FILE, ResultsRecord)


def write_json(path: str | os.PathLike[str], model: BaseModel) -> None:
    """Write a record as readable JSON, whole or not at all; lists of numbers stay on one line."""
    text = model.model_dump_json(by_alias=True, indent=2)
    # A JSON string never holds a bare line break, so this meets lists only.
    text = re.sub(r"\[\n[\d\s.,eE+-]*\]", lambda match: re.sub(r"\s+", "", match[0]).replace(",", ", "), text)
    atomic.write_text(path, text + "\n")


def _read(run_dir: Path, name: str, kind: type[_R]) -> _R:
    path = run_dir / name
    if not run_dir.is_dir():
        raise RunDirectoryError(f"{run_dir} is not a folder; pass the output folder of `minidisc run`")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if several := [path.name for path in students_in(run_dir) if path != run_dir]:
            raise RunDirectoryError(f"{run_dir} has several students; give one of {', '.join(several)} in it") from None
        raise RunDirectoryError(
            f"{path} is missing: {run_dir} is not the output of a run, or the run has not got that far; "
            "start or resume it with `minidisc run`"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RunDirectoryError(f"{path} cannot be read ({error}); restore it or repeat the run") from error
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        what = f"{where}: {first['msg']}" if where else first["msg"]
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise RunDirectoryError(
            f"{path} cannot be used: {what}{more}; another version wrote it or it was edited: repeat the run"
        ) from error
