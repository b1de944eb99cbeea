"""transformers without its bars, tables and warnings, where what they say is said in one line."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet(bars: bool = False) -> Iterator[None]:
    """Nothing, and no bars unless told, from transformers and torch inside; as before afterwards."""
    from transformers.utils import logging

    verbosity, shown = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)  # its errors come before an exception, which says the same
    if not bars:
        logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"(torch|transformers|huggingface_hub)(\.|$)")
            warnings.filterwarnings("ignore", message=r".*treespec, LeafSpec")  # of torch.export, said of `copyreg`
            yield
    finally:
        logging.set_verbosity(verbosity)
        if shown:
            logging.enable_progress_bar()
