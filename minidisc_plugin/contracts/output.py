"""Names in an output directory, and what each is."""

from __future__ import annotations

RESOLVED_CONFIG = "config.resolved.yaml"
RECORD_FILE = "run.json"
LOCK_FILE = ".lock"
CHECKPOINTS = "checkpoints"
JOURNAL_FILE = "journal.json"
SCRIPT_RECORD = "made-from.json"
REPLACEMENT = "replacement"
SEARCH = "search"
OF_A_SEARCH = "weights of all students that were tried, for `--resume` with another `max_loss`; may be removed"
FILES = {
    RESOLVED_CONFIG: "the config with every default, the versions and the seed; runs again as it stands",
    "schedule.json": "scheduler, candidates with sizes, metric, loss and tradeoff, the choice and how sure it is",
    "results.json": "test metric, parameters, MACs, bytes, latency and throughput of each model",
    "tradeoff.png": "scale against metric and tradeoff, the choice marked",
    "frontier.png": "metric against parameters, bytes and milliseconds of each model and each slice",
    "assistant/": "the teacher assistant (assistant-1/, assistant-2/ ... when there are several)",
    "student/": "the student",
    "README.md": "model card",
    RECORD_FILE: "checksums of what the run was made from and of what it wrote; `--resume` and `--overwrite` read it",
}

# Of several students each has the files of a run in a folder of its own, but for what the run has once.
OF_THE_RUN = {
    RESOLVED_CONFIG: FILES[RESOLVED_CONFIG],
    RECORD_FILE: FILES[RECORD_FILE],
    "README.md": "the students next to each other",
    "frontier.png": "metric against parameters, bytes and milliseconds of all of them",
}
_OF_A_STUDENT = "sparsity-"


def student_folder(sparsity: float) -> str:
    """Name of the folder of one of several students."""
    return f"{_OF_A_STUDENT}{sparsity:g}"


def student_of(name: str) -> str:
    """The folder of one of several students that a name in an output directory lies in; empty where it lies in none."""
    top = name.partition("/")[0]
    return top if top.startswith(_OF_A_STUDENT) else ""


def is_reserved(name: str) -> bool:
    """Whether a name in an output directory is that of something that every run writes."""
    own = {file.rstrip("/") for file in FILES} | {CHECKPOINTS, REPLACEMENT, LOCK_FILE, SEARCH}
    name = name.casefold()
    return name in {file.casefold() for file in own} or name.startswith(("assistant-", _OF_A_STUDENT))
