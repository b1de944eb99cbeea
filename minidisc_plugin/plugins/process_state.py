"""What a process has but once, put back after a plug-in's code: settings of Python, logging, environment and torch."""

from __future__ import annotations

import logging
import os
import random
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

PutBack = Callable[[], object]

_OURS = "minidisc_plugin"


@contextmanager
def kept_process_state(*, chance: bool = False) -> Iterator[None]:
    """Whatever the block does to them, the process's settings are afterwards what they were.

    Environment variables that it adds stay, for the libraries that it loads need them; so do threads of a torch that
    it is the first to import, for what they were nobody knows.

    Args:
        chance: Random number generators are put back, too; not where a block may draw numbers time and again.
    """
    with ExitStack() as kept:
        for put_back in (*_python(), *_logging(), _environment(), _torch(), *(_chance() if chance else ())):
            kept.callback(put_back)
        yield


def _python() -> Iterator[PutBack]:
    for module, name in ((sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook")):
        yield partial(setattr, module, name, getattr(module, name))
    yield partial(sys.setrecursionlimit, sys.getrecursionlimit())
    yield partial(setattr, warnings, "showwarning", warnings.showwarning)
    yield _list(sys, "argv")
    put_filters_back = _list(warnings, "filters")

    def put_back() -> None:
        if put_filters_back():
            with warnings.catch_warnings():  # at whose end Python forgets what it made of the other filters
                pass

    yield put_back


def _list(module: Any, name: str) -> Callable[[], bool]:
    """Puts back a list of a module's, both the object and what it holds; tells whether it had to."""
    there: Any = getattr(module, name)
    held = list(there)

    def put_back() -> bool:
        same = getattr(module, name, None) is there
        if same and list(there) == held:
            return False
        setattr(module, name, there)
        there[:] = held
        return True

    return put_back


def _logging() -> Iterator[PutBack]:
    disabled_below = logging.root.manager.disable
    logging.getLogger(_OURS)  # is there from now on, whoever asks for it first
    ours = [found for name, found in logging.root.manager.loggerDict.items() if name.startswith(_OURS)]
    loggers = [logging.root, *(logger for logger in ours if isinstance(logger, logging.Logger))]
    kept = [(logger, logger.level, logger.propagate, logger.disabled, list(logger.handlers)) for logger in loggers]

    def put_back() -> None:
        if logging.root.manager.disable != disabled_below:
            logging.disable(disabled_below)
        for logger, level, propagate, disabled, handlers in kept:
            logger.propagate, logger.disabled, logger.handlers[:] = propagate, disabled, handlers
            if logger.level != level:  # else what loggers know by heart is thrown away for nothing
                logger.setLevel(level)

    yield put_back


def _environment() -> PutBack:
    environment, given = os.environ, dict(os.environ)

    def put_back() -> None:
        setattr(os, "environ", environment)  # noqa: B010 - the object itself, which nothing else assigns
        for name, value in given.items():
            if environment.get(name) != value:
                environment[name] = value

    return put_back


def _torch() -> PutBack:
    if "torch" not in sys.modules:
        return _as_torch_begins
    import torch

    settings: list[tuple[Callable[[], Any], Callable[[Any], object]]] = [
        (torch.is_grad_enabled, torch.set_grad_enabled),
        (torch.get_default_dtype, torch.set_default_dtype),
        (torch.get_num_threads, torch.set_num_threads),
        (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
        (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
        (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
        *(
            (partial(getattr, torch.backends.cudnn, name), partial(setattr, torch.backends.cudnn, name))
            for name in ("deterministic", "benchmark")
        ),
    ]
    kept = [(read, write, read()) for read, write in settings]

    def put_back() -> None:
        for read, write, value in kept:
            if read() != value:
                write(value)

    return put_back


def _as_torch_begins() -> None:
    if "torch" not in sys.modules:
        return
    import torch

    torch.set_grad_enabled(True)
    torch.set_default_dtype(torch.float32)
    torch.set_deterministic_debug_mode("default")


def _chance() -> Iterator[PutBack]:
    yield partial(random.setstate, random.getstate())
    if "numpy" in sys.modules:
        import numpy as np

        yield partial(np.random.set_state, np.random.get_state())
    if "torch" in sys.modules:
        import torch

        yield partial(torch.set_rng_state, torch.get_rng_state())
        if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            yield partial(torch.cuda.set_rng_state, torch.cuda.get_rng_state())
