"""Where teachers' cached outputs live: made once, by one run or by several at a time, within a bound on disk."""

from __future__ import annotations

import hashlib
import inspect
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from minidisc_plugin.foundation.digests import digest_of_dataset, digest_of_model, digest_of_plain
from minidisc_plugin.foundation.errors import DataError, StorageError
from minidisc_plugin.foundation.processes import all_or_none, gathered, is_writer, process_count, process_index
from minidisc_plugin.foundation.storage import require_room, storage_errors
from minidisc_plugin.nested import narrow
from minidisc_plugin.nested.checkpoint import NarrowCheckpoint
from minidisc_plugin.training.cache_folders import CacheFolders
from minidisc_plugin.training.observing import Asked
from minidisc_plugin.training.teacher_arrays import Layout, arrays_of
from minidisc_plugin.training.teacher_cache import CacheWriter, TeacherCache
from minidisc_plugin.training.teacher_examples import MASK, Examples, mask_of, refuse_changing, unkept
from minidisc_plugin.training.teacher_index import FORMAT, INDEX, damage, write_index

if TYPE_CHECKING:
    from transformers import PreTrainedModel, TrainingArguments


logger = logging.getLogger(__name__)

_GIB = 2**30
# Of a cache that another run may remove between two looks at it.
_ATTEMPTS = 3


def reads_cache(wanted: bool | str | None, args: TrainingArguments, an_epoch: int, in_all: int) -> bool:
    """Whether a stage has a cache of all examples that its epochs draw from; `auto`: where it takes more of them."""
    if wanted != "auto":
        return bool(wanted)
    steps_an_epoch = an_epoch / (args.train_batch_size * args.world_size * args.gradient_accumulation_steps)
    epochs = args.max_steps / steps_an_epoch if args.max_steps > 0 else args.num_train_epochs
    return bool(epochs > in_all / an_epoch)


class TeacherStore:
    """Caches of teachers' outputs in one folder.

    Args:
        folder: Each cache is a folder in it, named after what it was made from.
        limit: Bytes of all caches together; the one that was used longest ago goes first.
    """

    def __init__(self, folder: Path, limit: float) -> None:
        self.folder = folder
        self.limit = limit
        self._folders = CacheFolders(folder, INDEX)

    def cache(
        self,
        teacher: PreTrainedModel,
        examples: Examples,
        asked: Asked,
        *,
        required: bool,
        quiet: bool = False,
    ) -> TeacherCache | None:
        """The cache of a teacher's outputs, made where there is none that is whole.

        Args:
            teacher: On the device on which it is to run.
            examples: The training set.
            asked: What is kept of each.
            required: Raise where there can be no cache; otherwise the answer is None, with a line in the log.
            quiet: Show no progress bar.

        Raises:
            DataError: it would not fit, or the teacher's outputs cannot be kept, and it is required.
            StorageError: the disk refuses, and it is required.
        """
        if not required and (why := unkept(teacher, examples.task)):
            logger.info("the teacher runs in every step: %s", why)
            return None
        try:
            layout = self._plan(teacher, examples, asked)
            with storage_errors(self.folder, layout.bytes):
                return self._cache(teacher, examples, layout, asked, quiet)
        except (DataError, StorageError) as error:
            if required:
                raise
            level = logging.WARNING if isinstance(error, StorageError) else logging.INFO
            logger.log(level, "the teacher runs in every step: %s", error)
            return None

    def size(self, teacher: PreTrainedModel, examples: Examples, asked: Asked) -> int:
        """Bytes that a cache would have; 0 where the teacher's outputs cannot be kept. See cache."""
        try:
            return self._plan(teacher, examples, asked).bytes
        except DataError:
            return 0

    def _cache(
        self, teacher: PreTrainedModel, examples: Examples, layout: Layout, asked: Asked, quiet: bool
    ) -> TeacherCache:
        if layout.bytes > self.limit:
            raise DataError(
                f"engine.teacher_cache_gib: {self.limit / _GIB:g} is less than the {layout.bytes / _GIB:.2f} GiB that "
                "the teacher's outputs take; raise it, or set engine.teacher_cache: false"
            )
        key = self._key(teacher, examples, layout, asked)
        for _ in range(_ATTEMPTS):
            cache = self._found(key, layout)
            if cache is not None:
                return cache
            self._make(key, layout, teacher, examples, asked, quiet)
        raise StorageError(
            f"engine.teacher_cache_dir: {self.folder / key} is removed again and again; does another run have a lower "
            "engine.teacher_cache_gib? name another folder, or set engine.teacher_cache: false"
        )

    def _found(self, key: str, layout: Layout) -> TeacherCache | None:
        """A cache that is there and whole, opened in every process; one that is damaged is removed."""
        folder = self.folder / key
        with all_or_none():
            if is_writer():
                self._folders.clean()
                wrong = damage(folder, layout) if os.path.lexists(folder) else None
                if wrong is not None:
                    logger.warning("the teacher's outputs are computed anew: %s", wrong)
                    with _remedy_of(folder):
                        self._folders.discard(key)
        cache = None
        with suppress(OSError):  # another run has just removed it
            held = self._folders.open(key)
            cache = None if held is None else TeacherCache(folder, layout, held)
        if all(gathered(cache is not None)):
            return cache
        if cache is not None:
            cache.close()
        return None

    def _plan(self, teacher: PreTrainedModel, examples: Examples, asked: Asked) -> Layout:
        """What the files will hold, from the outputs of one example."""
        if why := unkept(teacher, examples.task):
            raise DataError(f"engine.teacher_cache: {why}; set it to false")
        columns = getattr(examples.dataset, "column_names", ())
        if examples.task.sequences and MASK not in columns:
            raise DataError("engine.teacher_cache: examples have no attention_mask; add it, or set it to false")
        _, batch = next(iter(examples.batches([0])))
        outputs = asked.answers(teacher, examples.task, batch)
        mask = mask_of(batch, outputs, examples.task)
        if MASK in columns:
            return Layout(arrays_of(outputs, mask, asked.compared), [sum(row) for row in examples.dataset[MASK]])
        refuse_changing(examples)
        return Layout(arrays_of(outputs, mask, asked.compared), [mask.shape[1]] * len(examples.dataset))

    def _key(self, teacher: PreTrainedModel, examples: Examples, layout: Layout, asked: Asked) -> str:
        """Of everything that decides what is kept: the teacher and its code, the examples' inputs, how it is run."""
        names = sorted(set(examples.dataset.column_names) - set(examples.task.label_names))
        says = {
            "format": FORMAT,
            "teacher": digest_of_model(teacher),
            "code": _code_of(type(teacher)),
            "attention": getattr(teacher.config, "_attn_implementation", None),
            "examples": digest_of_dataset(examples.dataset.select_columns(names)),
            "batch": self._digest_of_batch(teacher, examples, layout),
            "options": examples.task.options,
            "arrays": [vars(array) for array in layout.arrays],
            "device": [teacher.device.type, _precision()],
            "versions": {name: version(name) for name in ("torch", "transformers")},
            **asked.says(examples.dataset, examples.task.label_names),
        }
        return digest_of_plain(says)[:32]

    @staticmethod
    def _digest_of_batch(teacher: PreTrainedModel, examples: Examples, layout: Layout) -> str:
        """Of the shortest and the longest example as the model is given them: how they are padded, and with what."""
        by_length = sorted(range(len(layout.lengths)), key=layout.lengths.__getitem__)
        _, batch = next(iter(examples.batches([by_length[0], by_length[-1]])))
        digest = hashlib.sha256()
        for name, value in sorted(examples.task.inputs(batch, teacher).items()):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode() + value.cpu().numpy().tobytes())
        return digest.hexdigest()

    def _make(
        self, key: str, layout: Layout, teacher: PreTrainedModel, examples: Examples, asked: Asked, quiet: bool
    ) -> None:
        """Run the teacher on every example; processes share the work, and the folder gets its name when it is whole."""
        with ExitStack() as stack:
            begun = None
            with all_or_none(), storage_errors(self.folder, layout.bytes):
                if is_writer():
                    self.folder.mkdir(parents=True, exist_ok=True)
                    self._folders.make_room(layout.bytes, self.limit, keep=key)
                    require_room(self.folder, layout.bytes)
                    begun = stack.enter_context(self._folders.begun(key))
                    CacheWriter(begun[0], layout).create()
            folder = next(filter(None, gathered(begun and begun[0])))
            with all_or_none(), storage_errors(self.folder, layout.bytes):
                self._fill(folder, layout, teacher, examples, asked, quiet)
            with all_or_none(), storage_errors(self.folder, layout.bytes):
                if begun is not None:
                    write_index(begun[1], folder, layout)
                    self._folders.finish(*begun, key)

    @staticmethod
    def _fill(
        folder: Path, layout: Layout, teacher: PreTrainedModel, examples: Examples, asked: Asked, quiet: bool
    ) -> None:
        """Write this process's share."""
        from tqdm.auto import tqdm

        # Examples of similar length share a batch.
        order = sorted(range(len(layout.lengths)), key=layout.lengths.__getitem__, reverse=True)
        mine = order[process_index() :: process_count()]
        with (
            CacheWriter(folder, layout) as writer,
            tqdm(total=len(mine), desc="teacher's outputs", disable=quiet, leave=False) as bar,
        ):
            for rows, batch in examples.batches(mine):
                outputs = asked.answers(teacher, examples.task, batch)
                writer.write(rows, outputs, mask_of(batch, outputs, examples.task))
                bar.update(len(rows))


@contextmanager
def _remedy_of(folder: Path) -> Iterator[None]:
    """Inside, the removal of a damaged cache; where it fails, the remedy is another's to apply."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{folder}: it is damaged, and cannot be removed ({error.strerror}); remove it, name another folder in "
            "engine.teacher_cache_dir, or set engine.teacher_cache: false"
        ) from error


def _precision() -> str:
    """How matrices in single precision are multiplied."""
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:  # it was set by another interface of torch
        return str(torch.backends.cuda.matmul.fp32_precision)


def _code_of(kind: type) -> str:
    """The checksum of a model's own code, which a checkpoint may bring along; of a narrow one, what narrows it too."""
    names = [kind.__module__]
    if issubclass(kind, NarrowCheckpoint):  # it is made where much else is written
        names = [narrow.__name__, kind.__bases__[-1].__module__]
    try:
        source = "".join(inspect.getsource(sys.modules[name]) for name in names)
        return hashlib.sha256(source.encode()).hexdigest()
    except (KeyError, OSError, TypeError):
        return ""
