"""`run.json`: what a run was made from, and every file that it wrote."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from minidisc_plugin.contracts.budget import Budget
from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.output import RECORD_FILE
from minidisc_plugin.foundation.atomic import write_text
from minidisc_plugin.foundation.errors import RunDirectoryError
from minidisc_plugin.foundation.redaction import without_secrets

# Where things lie, and what is known by checksums instead of by name.
_PLACES = ("model", "tokenizer", "dataset", "output_dir", "versions", "trust_remote_code")
# Of the section `engine`: where a cache lies, and how kernels are launched.
_NEUTRAL_ENGINE = frozenset({"teacher_cache_dir", "compile"})
# What training tells, keeps and fetches, and how fast; never what it computes.
_NEUTRAL_TRAINING = frozenset(
    {
        "disable_tqdm",
        "report_to",
        "run_name",
        "log_level",
        "log_level_replica",
        "log_on_each_node",
        "save_total_limit",
        "skip_memory_metrics",
        "dataloader_num_workers",
        "dataloader_pin_memory",
        "dataloader_persistent_workers",
        "dataloader_prefetch_factor",
    }
)
# What is made of the finished student; an unfinished run goes on with other values, as where an export has failed.
# Of a search for a student that is good enough; with other values it goes on from the students that were made.
_GOOD_ENOUGH = frozenset({"pruning.max_loss", "pruning.confidence"})
AFTER_THE_STUDENT = frozenset({"steps", "export.formats", "quantization.schemes", "quantization.max_loss"})
# Keys that records of earlier releases lack, and what a run did without them.
_LATER_KEYS = {
    "quantization.max_loss": 0.02,
    "distillation.guide": "assistant",
    "scheduler_config.rule": "lambda",
    "scheduler_config.gap_weight": 1.0,
    "scheduler_config.include_teacher": False,
    "distillation.augment": 0,
    "distillation.augment_share": 0.1,
    "distillation.ad_kd.annealed": False,
    "generation.metrics": [],
    "generation.num_beams": 1,
}
# Keys that earlier releases did not record, whatever they were: compared where both records tell them.
_UNTOLD_KEYS = ("engine.teacher_cache_gib",)
_SPARSITY = "pruning.target_sparsity"
_NEUTRAL_PREFIXES = ("logging_", "hub_", "push_to_hub")
# Checksums of shipped metrics in former releases, by that of today's: their text changed, what they compute did not.
_FORMER_METRICS = {
    "85b2ead9c35851cf8a1e62a734f1b273b320314bc0ec3e236bcbdd214b5d7e13": (  # accuracy
        "741fb69c819cd5c0bb64c9859574f39c86b9dc8c554190f64267a6446eb2b1fd",
        "58a54c21784c6d58ae8e54e024f4ef126529e5e602760118b22d199b260a463d",
    ),
    "8e19613fe3d2813205b5715e543b806ac1eb406758270fd6bb249052312a74c7": (  # f1
        "5d8396726c1ed98b09afe49b24fe3a3157870f338698fc5d0974e0ab77535e41",
        "43b44722e40a5d8705891c76b02dae961a7d403837cb9c9bcd86b2e4506c7d71",
    ),
    "f3a79ce4ebc3471e21f852a80f3a580355bb57346ede55c78b0b1a8642c429eb": (  # seqeval
        "2256be8132b0d6db05925371a686e88cdf4b39001bdaee3890ac28bb6cdbbc96",
        "86ae944e1aba1cbf49118d31f5549656486da5f027e6a2c72e7793ed6113ae50",
    ),
}
SAME_METRIC = {former: today for today, formers in _FORMER_METRICS.items() for former in formers}
# A checksum of all that is saved of the tokenizer; earlier releases wrote one of its vocabulary only, as "tokenizer".
SAVED_TOKENIZER = "saved tokenizer"
# Altered copies of texts; earlier releases wrote none, and compared the tokens that the texts became.
ALTERED = "dataset (altered copies)"
# How a model writes; earlier releases did not tell.
WRITING = "generation_config.json of the model"


class RunRecord(BaseModel):
    """The content of `run.json`.

    Attributes:
        format: Of this file.
        settings: Keys of the config that decide what is computed, dotted; see deciding_settings.
        inputs: Checksum of the teacher, the tokenizer and each split, by what it is called in messages.
        versions: Of the libraries that the run was begun with.
        files: SHA-256 of each file that the run wrote, by its path in the directory. A path is listed before the file
            is put there, so a file that is not listed is somebody else's.
        finished: Whether the run came to its end.
        budget: What the config asked in place of a sparsity, and the sparsity that it became, once that is known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    settings: dict[str, Any]
    inputs: dict[str, str]
    versions: dict[str, str] = Field(default_factory=dict)
    files: dict[str, str] = Field(default_factory=dict)
    finished: bool = False
    budget: Budget | None = None

    @field_validator("files")
    @classmethod
    def _inside(cls, files: dict[str, str]) -> dict[str, str]:
        for name in files:
            path = PurePosixPath(name)
            if path.is_absolute() or not path.parts or ".." in path.parts:
                raise ValueError(f"{name!r} is no path in the folder")
        return files

    def _as_asked(self, other: RunRecord) -> RunRecord:
        """This record, with its budget in place of what that became where the other has one whose sparsity is open."""
        if self.budget is None or _SPARSITY in other.settings:
            return self
        asked = {f"pruning.{key}": value for key, value in self.budget.asked.items()}
        settings = {key: value for key, value in self.settings.items() if key != _SPARSITY}
        return self.model_copy(update={"settings": settings | asked})

    def searches_on(self, other: RunRecord) -> bool:
        """Whether the other is the same run, but for which student is good enough."""
        settings, inputs = self.differences(other)
        known = all(record.settings.keys() >= _GOOD_ENOUGH for record in (self, other))
        return known and bool(settings) and not inputs and _GOOD_ENOUGH.issuperset(settings)

    def differences(self, other: RunRecord) -> tuple[list[str], list[str]]:
        """Settings whose values differ, and inputs whose content does, by name."""
        settings = [{**_LATER_KEYS, **record.settings} for record in (self._as_asked(other), other)]
        for key in _UNTOLD_KEYS:
            if not all(key in record for record in settings):
                settings = [{name: value for name, value in record.items() if name != key} for record in settings]
        return _different(*settings), _different(*_comparable(self.inputs, other.inputs))


def deciding_settings(config: CompressionConfig) -> dict[str, Any]:
    """The keys of a resolved config that decide what a run computes, by dotted name.

    Left out are places of files, whose content `RunRecord.inputs` tells, and what is printed or kept meanwhile.
    """
    data = without_secrets(config.model_dump(mode="json", by_alias=True, exclude_none=True), marked=False)
    seconds = data["dataset"].get("max_seconds")  # sounds are known by their files, of which it says how much is heard
    for key in _PLACES:
        data.pop(key, None)
    if seconds is not None:
        data["dataset"] = {"max_seconds": seconds}
    data["engine"] = deciding_engine(data["engine"])
    data["training"] = deciding_training(data["training"])
    return dict(dotted(data))


def deciding_engine(engine: Mapping[str, Any]) -> dict[str, Any]:
    """Of the section `engine`, the keys that decide what is computed.

    A stage follows kept outputs, in half precision, or its teacher: by their size only where that is left to it.
    """
    neutral = _NEUTRAL_ENGINE if engine.get("teacher_cache") == "auto" else _NEUTRAL_ENGINE | {"teacher_cache_gib"}
    return {key: value for key, value in engine.items() if key not in neutral}


def deciding_training(training: Mapping[str, Any]) -> dict[str, Any]:
    """Of training arguments, those that decide what is computed."""
    return {
        key: value
        for key, value in training.items()
        if key not in _NEUTRAL_TRAINING and not key.startswith(_NEUTRAL_PREFIXES)
    }


def read_record(folder: Path, name: str = RECORD_FILE) -> RunRecord | None:
    """The record in a folder; None where there is none.

    Raises:
        RunDirectoryError: it cannot be understood.
    """
    file = folder / name
    try:
        return RunRecord.model_validate_json(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise RunDirectoryError(
            f"output_dir: {file} is damaged ({first['msg'].splitlines()[0]}), and without it nobody knows what the run "
            "wrote; restore it, or give another output_dir"
        ) from error


def write_record(folder: Path, record: RunRecord, name: str = RECORD_FILE) -> None:
    """Replace the record of a folder, whole or not at all."""
    write_text(folder / name, record.model_dump_json(indent=2) + "\n")


def _comparable(mine: Mapping[str, str], theirs: Mapping[str, str]) -> list[dict[str, str]]:
    """Inputs as both can tell them: where one was written by an earlier release, its tokenizer is compared as then."""
    told = SAVED_TOKENIZER in mine and SAVED_TOKENIZER in theirs
    found = [_of_today(inputs) for inputs in (mine, theirs)]
    untold = {name for name in (ALTERED, WRITING) if name not in mine or name not in theirs}
    for inputs in found:
        for name in untold:  # whether there are altered copies is a setting
            inputs.pop(name, None)
        saved = inputs.pop(SAVED_TOKENIZER, "")
        if told:
            inputs["tokenizer"] = saved
    return found


def _of_today(inputs: Mapping[str, str]) -> dict[str, str]:
    return {name: SAME_METRIC.get(digest, digest) for name, digest in inputs.items()}


def dotted(data: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Keys and values of nested mappings, each by its dotted name."""
    found: list[tuple[str, Any]] = []
    for key, value in data.items():
        if isinstance(value, Mapping):
            found += dotted(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", value))
    return found


def _different(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    return sorted(key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key))
