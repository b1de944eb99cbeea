"""This process's memory: what is free goes back to the system, and what is lasting is left alone."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_TUNABLES = "GLIBC_TUNABLES"
_THREAD_CACHE = "glibc.malloc.tcache_count"


def restart_without_thread_cache() -> None:
    """Start this command again with glibc's cache of small freed blocks switched off; once, and with glibc alone.

    Tensors are aligned, and cut a sliver off the block before them. Slivers that the cache holds keep freed blocks
    from becoming one again (compare glibc bug 14581), and the heap grows to several times what is in use. glibc reads
    the setting when a process starts; one that is there already wins.
    """
    import platform

    tunables = os.environ.get(_TUNABLES, "")
    if _THREAD_CACHE in tunables or not sys.executable or platform.libc_ver()[0] != "glibc":
        return
    os.environ[_TUNABLES] = ":".join(filter(None, [tunables, f"{_THREAD_CACHE}=0"]))
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def release() -> None:
    """Give freed memory back to the system, which glibc does for the end of its heap only."""
    import ctypes

    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none
    if trim is not None:
        trim(0)


@contextmanager
def collecting_new_garbage_only() -> Iterator[None]:
    """Inside, garbage is looked for among new objects only: those of the libraries are many, and stay."""
    gc.collect()
    # Python 3.12 freezes a few hundred of its own; whoever freezes on purpose freezes most of what there is.
    spared = gc.get_freeze_count() < len(gc.get_objects())
    if spared:
        gc.freeze()
    try:
        yield
    finally:
        if spared:
            gc.unfreeze()
