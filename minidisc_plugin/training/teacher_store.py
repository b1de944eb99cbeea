"""Where teachers' cached outputs live: made once, by one run or by several at a time, within a bound on disk."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from minidisc_plugin.errors import DataError
from minidisc_plugin.processes import is_writer, process_count, process_index, wait_for_all
from minidisc_plugin.training.teacher_cache import CacheFiles, TeacherCache, arrays_of

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, TrainingArguments

    from minidisc_plugin.tasks import Task

logger = logging.getLogger(__name__)

_GIB = 2**30
_FORMAT = 1
_UNFINISHED = ".unfinished-"
# What objectives compare, as models call it.
_KEPT = ("logits", "start_logits", "end_logits", "hidden_states")


def reads_cache(wanted: bool | str | None, args: TrainingArguments, examples: int) -> bool:
    """Whether a stage should have a cache: `auto` means that it sees each of its examples more than once."""
    if wanted != "auto":
        return bool(wanted)
    steps_an_epoch = examples / (args.train_batch_size * args.world_size * args.gradient_accumulation_steps)
    return bool((args.max_steps / steps_an_epoch if args.max_steps > 0 else args.num_train_epochs) > 1)


@dataclass(frozen=True)
class Examples:
    """A training set as a teacher is given it.

    Attributes:
        dataset: Columns of the model's inputs, and of labels.
        collate: Makes a batch of rows.
        batch_size: Examples of a batch, without gradients.
        task: What the teacher does.
    """

    dataset: Dataset
    collate: Callable[[list[Any]], Any]
    batch_size: int
    task: Task

    def batches(self, rows: Sequence[int]) -> Iterable[tuple[list[int], dict[str, Tensor]]]:
        """Rows and batches; what is given first comes first."""
        for start in range(0, len(rows), self.batch_size):
            part = list(rows[start : start + self.batch_size])
            yield part, dict(self.collate([self.dataset[row] for row in part]))


class TeacherStore:
    """Caches of teachers' outputs in one folder.

    Args:
        folder: Each cache is a folder in it, named after what it was made from.
        limit: Bytes of all caches together; the one that was used longest ago goes first.
    """

    def __init__(self, folder: Path, limit: float) -> None:
        self.folder = folder
        self.limit = limit

    def cache(
        self,
        teacher: PreTrainedModel,
        examples: Examples,
        *,
        states: bool,
        compared: Callable[[int], Sequence[int]],
        required: bool,
        quiet: bool = False,
    ) -> TeacherCache | None:
        """The cache of a teacher's outputs, made where there is none.

        Args:
            teacher: On the device on which it is to run.
            examples: The training set.
            states: Whether hidden states are needed.
            compared: Which of so many.
            required: Raise where there can be no cache; otherwise the answer is None, with a line in the log.
            quiet: Show no progress bar.

        Raises:
            DataError: it would not fit, or the teacher's outputs cannot be kept, and it is required.
        """
        try:
            return self._cache(teacher, examples, states, compared, quiet)
        except DataError as error:
            if required:
                raise
            logger.info("the teacher runs in every step: %s", error)
            return None

    def _cache(
        self,
        teacher: PreTrainedModel,
        examples: Examples,
        states: bool,
        compared: Callable[[int], Sequence[int]],
        quiet: bool,
    ) -> TeacherCache:
        planned = self._plan(teacher, examples, states, compared)
        size = planned.bytes
        if size > self.limit:
            raise DataError(
                f"engine.teacher_cache_gib: {self.limit / _GIB:g} is less than the {size / _GIB:.2f} GiB that the "
                "teacher's outputs take; raise it, or set engine.teacher_cache: false"
            )
        key = self._key(teacher, examples, planned)
        folder = self.folder / key
        if not folder.is_dir():
            self.folder.mkdir(parents=True, exist_ok=True)
            self._make_room(size, keep=key)
            wait_for_all()
            free = shutil.disk_usage(self.folder).free
            if size > free:
                raise DataError(
                    f"engine.teacher_cache: {size / _GIB:.2f} GiB do not fit into the {free / _GIB:.2f} GiB left in "
                    f"{self.folder}; name another folder in engine.teacher_cache_dir, or set it to false"
                )
            self._make(folder, planned, teacher, examples, states, quiet)
        wait_for_all()
        os.utime(folder)
        return TeacherCache(folder)

    def _plan(
        self, teacher: PreTrainedModel, examples: Examples, states: bool, compared: Callable[[int], Sequence[int]]
    ) -> CacheFiles:
        """What the files will hold, from the outputs of one example."""
        if teacher.config.is_encoder_decoder:
            raise DataError("engine.teacher_cache: an encoder-decoder's outputs are not kept; set it to false")
        if "attention_mask" not in getattr(examples.dataset, "column_names", ()):
            raise DataError("engine.teacher_cache: examples have no attention_mask; add it, or set it to false")
        _, batch = next(iter(examples.batches([0])))
        outputs = _outputs(teacher, examples.task, batch, states)
        arrays = arrays_of(outputs, batch["attention_mask"].bool(), compared)
        lengths = [sum(mask) for mask in examples.dataset["attention_mask"]]
        return CacheFiles(self.folder, arrays, lengths)

    def _key(self, teacher: PreTrainedModel, examples: Examples, planned: CacheFiles) -> str:
        """Of the teacher's weights, the examples' inputs, and what is kept of the outputs."""
        digest = hashlib.sha256()
        for name, value in teacher.state_dict().items():
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        names = [name for name in examples.dataset.column_names if name not in examples.task.label_names]
        for part in examples.dataset.select_columns(sorted(names)).iter(1000):
            digest.update(json.dumps(part).encode())
        digest.update(json.dumps([vars(array) for array in planned.arrays]).encode())
        config = teacher.config.to_dict()
        config.pop("_name_or_path", None)
        digest.update(json.dumps([_FORMAT, type(teacher).__name__, config], sort_keys=True, default=str).encode())
        return digest.hexdigest()[:32]

    def _make(
        self, folder: Path, planned: CacheFiles, teacher: PreTrainedModel, examples: Examples, states: bool, quiet: bool
    ) -> None:
        """Run the teacher on every example; processes share the work, and the folder gets its name when it is whole."""
        from tqdm.auto import tqdm

        owner = os.environ.get("TORCHELASTIC_RUN_ID", "") + os.environ.get("MASTER_PORT", "")
        unfinished = self.folder / f"{_UNFINISHED}{folder.name}-{owner if process_count() > 1 else os.getpid()}"
        files = CacheFiles(unfinished, planned.arrays, planned.lengths)
        if is_writer():
            shutil.rmtree(unfinished, ignore_errors=True)
            files.create()
        wait_for_all()
        # Examples of similar length share a batch.
        order = sorted(range(len(files.lengths)), key=files.lengths.__getitem__, reverse=True)
        mine = order[process_index() :: process_count()]
        try:
            with tqdm(total=len(mine), desc="teacher's outputs", disable=quiet, leave=False) as bar:
                for rows, batch in examples.batches(mine):
                    outputs = _outputs(teacher, examples.task, batch, states)
                    files.write(rows, outputs, batch["attention_mask"].bool())
                    bar.update(len(rows))
            wait_for_all()
            if is_writer():
                try:
                    unfinished.rename(folder)
                except OSError:  # another run was faster, and its files are the same
                    if not folder.is_dir():
                        raise
        finally:
            if is_writer():
                shutil.rmtree(unfinished, ignore_errors=True)

    def _make_room(self, size: int, keep: str) -> None:
        """Remove the caches that were used longest ago, until there is room."""
        if not is_writer():
            return
        caches = [path for path in self.folder.iterdir() if path.is_dir() and not path.name.startswith(_UNFINISHED)]
        sizes = {path: sum(file.stat().st_size for file in path.iterdir()) for path in caches if path.name != keep}
        for path in sorted(sizes, key=lambda path: path.stat().st_mtime):
            if sum(sizes.values()) + size <= self.limit:
                break
            shutil.rmtree(path, ignore_errors=True)
            del sizes[path]


def _outputs(teacher: PreTrainedModel, task: Task, batch: dict[str, Tensor], states: bool) -> Any:
    features = {name: value.to(teacher.device) for name, value in task.inputs(batch, teacher).items()}
    with torch.inference_mode():
        found = teacher(**features, **task.options, output_hidden_states=states)
        return {name: _on_cpu(found[name]) for name in _KEPT if found.get(name) is not None}


def _on_cpu(value: Any) -> Any:
    return tuple(map(_on_cpu, value)) if isinstance(value, (tuple, list)) else value.cpu()
