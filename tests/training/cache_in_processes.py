"""A script for torchrun: processes make a teacher's cache together, well, and with one of them failing at it.

python -m torch.distributed.run --nproc_per_node=2 -m tests.training.cache_in_processes FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from minidisc_plugin.foundation.errors import MinidiscError
from minidisc_plugin.foundation.processes import process_index
from minidisc_plugin.training.teacher_cache import CacheWriter
from tests.builders.tiny import make_tokenizer
from tests.training.making import Bench, make_dataset, make_teacher
from tests.training.test_teacher_cache import make_cache, run_of

CASES = [(1, True), (0, False), (None, True)]
"""Which process fails, and whether the cache is required."""


def main() -> None:
    folder = Path(sys.argv[1])
    tokenizer = make_tokenizer(folder / f"tokenizer-{process_index()}")
    bench = Bench(folder, make_dataset(tokenizer), tokenizer)
    bench.arguments()  # joins the processes
    write = CacheWriter.write
    told = []
    for failing, required in CASES:

        def writes(self: CacheWriter, *args: Any, failing: int | None = failing) -> None:
            if process_index() == failing:
                raise OSError(28, "No space left on device")
            write(self, *args)

        CacheWriter.write = writes  # type: ignore[method-assign]
        told.append(tell(bench, folder / "caches", required))
    (folder / f"told-{process_index()}.json").write_text(json.dumps(told))


def tell(bench: Bench, folder: Path, required: bool) -> str:
    """What came of it."""
    try:
        cache = make_cache(bench, folder, required=required)
    except MinidiscError as error:
        return f"{type(error).__name__}: {error}"
    if cache is None:
        return "no cache"
    batch = bench.collated()
    found = cache.read(list(range(48)), batch["attention_mask"]).logits
    torch.testing.assert_close(found, run_of(make_teacher(), batch).logits, atol=1e-6, rtol=1e-5)
    return "cache"


if __name__ == "__main__":
    main()
