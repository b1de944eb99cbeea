"""A run as its steps see it, and what a step is; a plug-in adds one through `minidisc_register_steps`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from minidisc_plugin.contracts.artefact import Artefact
from minidisc_plugin.contracts.pool import Pool

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, TrainingArguments

    from minidisc_plugin.contracts.budget import Budget
    from minidisc_plugin.contracts.config import CompressionConfig
    from minidisc_plugin.contracts.family import Family
    from minidisc_plugin.contracts.scheduler import Schedule, Scheduler
    from minidisc_plugin.contracts.task import Task
    from minidisc_plugin.contracts.workbench import Workbench


@dataclass(frozen=True)
class Splits:
    """Tokenised splits of one run.

    Attributes:
        train: What is trained on.
        selection: Carved from train: importance and the choice of the assistant.
        validation: For early stopping, where there is one.
        report: What is reported; it never chose anything.
        report_name: What the dataset calls the reported split.
        unlabelled: Further texts to train on, where there are any; their labels are placeholders.
        altered: Altered copies of train, where there are any; likewise.
    """

    train: Dataset
    selection: Dataset
    validation: Dataset | None
    report: Dataset
    report_name: str
    unlabelled: Dataset | None = None
    altered: Dataset | None = None

    @cached_property
    def further(self) -> Dataset | None:
        """All whose labels are placeholders; None where there is nothing."""
        from datasets import concatenate_datasets

        found = [part for part in (self.unlabelled, self.altered) if part is not None]
        return concatenate_datasets(found) if found else None

    @property
    def all(self) -> list[Dataset]:
        """Every split that there is."""
        given = (self.train, self.selection, self.validation, self.report, self.further)
        return [split for split in given if split is not None]

    @cached_property
    def pool(self) -> Pool:
        """What an epoch's examples are drawn from."""
        return Pool(self.train, self.further)

    @property
    def rows(self) -> dict[str, int]:
        """Examples of `pool` by where they come from; empty where `train` is all."""
        if self.further is None:
            return {}
        parts = {"labelled": self.train, "unlabelled": self.unlabelled, "altered": self.altered}
        return {name: len(part) for name, part in parts.items() if part is not None}


@dataclass(frozen=True)
class Prepared:
    """A checked run.

    Attributes:
        config: With every default filled in.
        students: The scheduler, with its settings, of each student, from the largest to the smallest.
        steps: Pipeline steps in order.
        task: What the teacher does.
        teacher: The fine-tuned model.
        family: Where its heads and neurons live.
        processor: What makes its inputs of examples: its tokenizer, image processor or feature extractor.
        splits: The tokenised dataset.
        args: Of every training stage.
        inputs: Checksum of each thing that the run is made from, by what it is called in messages.
        saved_type: The type of weights in which students and assistants are saved, as torch calls it.
        precisions: Seconds of a training step by precision, where they decided which to take.
        budget: What stands in place of a sparsity, if anything, and what it became; None until it is known.
        beside: Files of the teacher, by their path in its folder, that go beside whatever is made of it.
    """

    config: CompressionConfig
    students: tuple[Scheduler, ...]
    steps: list[Step]
    task: Task
    teacher: PreTrainedModel
    family: Family
    processor: Any
    splits: Splits
    args: TrainingArguments
    inputs: Mapping[str, str]
    saved_type: str
    precisions: Mapping[str, float] = field(default_factory=dict)
    budget: Budget | None = None
    beside: Mapping[str, str] = field(default_factory=dict)

    @property
    def searches(self) -> bool:
        """Whether one of the students is to be found that is good enough."""
        return self.config.pruning.max_loss is not None

    @property
    def derived_family(self) -> str | None:
        """The model type, where no family is declared for it and one was derived and verified."""
        return self.family.model_type if self.family.derived else None

    @property
    def in_folders(self) -> bool:
        """Whether each of the students is wanted, and has a folder of its own."""
        return len(self.students) > 1 and not self.searches

    @property
    def scheduler(self) -> Scheduler:
        """That of the student; of several, that of the smallest, which has all candidates."""
        return self.students[-1]

    def alone(self, scheduler: Scheduler) -> Prepared:
        """The run as it is for one of several students."""
        pruning = self.config.pruning.model_copy(update={"target_sparsity": scheduler.target_sparsity})
        return replace(self, config=self.config.model_copy(update={"pruning": pruning}), students=(scheduler,))


class OutputDirectory(Protocol):
    """Where results go.

    Attributes:
        place: `output_dir` of the config.
        root: Where this run writes: `place`, or a folder in it while another run is to be replaced.
    """

    place: Path
    root: Path

    @property
    def checkpoints(self) -> Path:
        """For what is gone when the run is finished."""

    @property
    def student(self) -> Path:
        """Folder of the student."""

    def assistant(self, number: int, count: int) -> Path:
        """Folder of the `number`-th (from 1) of `count` assistants."""

    def writing(self, name: str) -> AbstractContextManager[Path]:
        """Yield a path to save a file or a folder to; at the end of the block it takes the place of `name`."""

    def adopt(self, names: Iterable[str]) -> None:
        """List what lies under these names as written by this run."""

    def written(self) -> Mapping[str, str]:
        """SHA-256 of each file that this run wrote, by its path in `root`."""

    def verify(self, under: str = "") -> None:
        """Compare files with their recorded checksums; all, or those of one folder.

        Raises:
            RunDirectoryError: names the first that is missing or damaged.
        """


@dataclass
class Run:
    """What steps hand on to each other; of several students each has one.

    Attributes:
        prepared: Config, teacher, processor, data and scheduler, all checked.
        bench: Training, distillation and evaluation.
        directory: Where results go; of one of several students, its own part of the output directory.
        decide: Makes the schedule; once.
        schedule: Set by the step `schedule`: assistants, student and how they were chosen.
        artefacts: What steps made of teacher and student for other runtimes; the report measures each.
    """

    prepared: Prepared
    bench: Workbench
    directory: OutputDirectory
    decide: Callable[[], Schedule]
    schedule: Schedule = field(init=False)
    artefacts: list[Artefact] = field(default_factory=list)


class Step(ABC):
    """One step of the pipeline; a config's `steps` run between the student's distillation and the report.

    Attributes:
        name: What `steps` in a config may hold.
        writes: Names in the output directory, a folder's with a slash, and what each is; `--overwrite` removes them.
    """

    name: ClassVar[str]
    writes: ClassVar[Mapping[str, str]] = {}

    def check(self, config: CompressionConfig) -> None:
        """Refuse a config that this step cannot work with, before anything is trained.

        Raises:
            ConfigError: names the key, the value and the remedy.
        """
        return None

    def check_run(self, prepared: Prepared) -> None:
        """As `check`, once the teacher and the data are read.

        Raises:
            ConfigError: names the key, the value and the remedy.
        """
        return None

    def will_write(self, config: CompressionConfig) -> Mapping[str, str]:
        """Of `writes`, what a run with this config leaves, for `minidisc plan`."""
        return self.writes

    @abstractmethod
    def run(self, run: Run) -> None:
        """Do the step."""
