"""Fixtures for all tests: no network, no litter, tiny models and data made on the spot."""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

# Before any Hugging Face import: caches of the session's own, and no way out.
_CACHE = tempfile.TemporaryDirectory(prefix="minidisc-tests-")
os.environ["HF_HOME"] = _CACHE.name
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# Tiny models gain nothing from threads, and lose much where cores are shared.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest  # noqa: E402

from tests.builders.sites import Site  # noqa: E402
from tests.builders.tiny import make_bert, make_run_files  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what wants a CUDA device, where there is none; what is quick on the other stack is slow on this one."""
    import torch
    import transformers

    stack = "inc" if transformers.__version__.startswith("4.") else "latest"
    for item in items:
        quick = item.get_closest_marker("quick_on")
        if quick is not None and quick.args != (stack,):
            item.add_marker(pytest.mark.slow)

    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu") is not None:
            item.add_marker(pytest.mark.skip(reason="wants a CUDA device"))


@pytest.fixture(autouse=True, scope="session")
def no_litter() -> Iterator[None]:
    """Fail the session when a test leaves a file in the repository."""

    def present() -> set[str]:
        ignored = {
            ".git",
            ".venv",
            ".venv-inc",
            ".venv-latest",
            "runs",
            ".pytest_cache",
            ".mypy_cache",
            ".ruff_cache",
            ".hypothesis",
        }
        return {
            str(path.relative_to(ROOT))
            for top in ROOT.iterdir()
            if top.name not in ignored
            for path in [top, *(top.rglob("*") if top.is_dir() else [])]
            if "__pycache__" not in path.parts
        }

    before = present()
    yield
    left = sorted(present() - before)
    assert not left, f"tests left files behind: {left}"


@pytest.fixture(autouse=True, scope="session")
def brief_timings() -> Iterator[None]:
    """Time models in a few rounds: tests ask what a report says, and would spend most of their time on its figures."""
    from minidisc_plugin.run.measuring import measure, results

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "time_models", partial(measure.time_models, warmup=1, rounds=3))
        yield


@pytest.fixture(autouse=True, scope="module")
def cheap_collections() -> None:
    """Leave what is there before a file's tests to no garbage collection of theirs: each stage of a run collects."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def same_environment() -> Iterator[None]:
    """Give each test the environment of the first: `TrainingArguments(bf16=True)` leaves its mark there for good."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture
def bert():
    """A tiny BERT classifier with three labels."""
    return make_bert(labels=3)


@pytest.fixture(scope="session")
def run_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a fine-tuned tiny teacher, its data and a config; shared, so not to be written to."""
    folder = tmp_path_factory.mktemp("run_files")
    make_run_files(folder)
    return folder


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """An empty folder that is searched for distributions; what was imported from it is forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    site = Site(tmp_path)
    yield site
    for module in site.modules:
        sys.modules.pop(module, None)


@pytest.fixture
def fresh_host() -> Iterator[None]:
    """The process's own host looks for entry points again, and once more afterwards."""
    from minidisc_plugin.plugins import host

    host.cache_clear()
    yield
    host.cache_clear()
