"""Progress bars of the libraries, which are for terminals: in a file or a pipe they hide what is said."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def bars_on_terminals() -> Iterator[None]:
    """Inside, data and models are loaded without a bar where standard error is no terminal."""
    import datasets
    from transformers.utils import logging

    of_datasets = not datasets.are_progress_bars_disabled()
    of_transformers = logging.is_progress_bar_enabled()
    if sys.stderr.isatty():
        yield
        return
    datasets.disable_progress_bars()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if of_datasets:
            datasets.enable_progress_bars()
        if of_transformers:
            logging.enable_progress_bar()
