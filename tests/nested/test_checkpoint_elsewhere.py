"""Checkpoints load, compute the same, and are saved again, in a process that cannot import this package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import BertModel, PreTrainedModel

import minidisc_plugin
from minidisc_plugin import NestedModel
from tests.builders.tiny import make_batch, make_bert
from tests.nested.crafting import RANKINGS, make_nested, make_ranked

BATCH = {name: value for name, value in make_batch().items() if name != "labels"}

# Loads every folder by the Auto class its config names, saves it to `<folder>-again`, loads that, and leaves outputs.
ELSEWHERE = """
import json, sys
sys.modules["minidisc_plugin"] = None  # an import of it raises ImportError
from pathlib import Path
import torch, transformers

batch = torch.load(sys.argv[1])
for folder in map(Path, sys.argv[2:]):
    auto = getattr(transformers, next(iter(json.loads((folder / "config.json").read_text())["auto_map"])))
    model = auto.from_pretrained(folder, trust_remote_code=True)
    again = folder.with_name(folder.name + "-again")
    model.save_pretrained(again)
    outputs = {"type": type(model).__module__ + "." + type(model).__name__}
    for key, found in (("first", model), ("again", auto.from_pretrained(again, trust_remote_code=True))):
        with torch.no_grad():
            outputs[key] = found.eval()(**batch)[0]
    torch.save(outputs, folder.with_name(folder.name + ".outputs"))
assert sys.modules["minidisc_plugin"] is None
"""


def make_headless_body() -> PreTrainedModel:
    """A slice of an encoder without a classifier."""
    nested = NestedModel(BertModel(make_bert().config))
    nested.apply_ranking(RANKINGS["layer 0 without heads"])
    return nested.extract(0.5)


MODELS: dict[str, Callable[[], PreTrainedModel]] = {
    "ranked": lambda: make_ranked().extract(0.3),
    "without-heads": lambda: make_nested(RANKINGS["layer 0 without heads"]).extract(0.5),
    "without-neurons": lambda: make_nested(RANKINGS["layer 1 without neurons"]).extract(0.5),
    "without-either": lambda: make_nested(RANKINGS["layer 0 without either"]).extract(0.3),
    "of-an-assistant": lambda: NestedModel(make_ranked().extract(0.6)).extract(0.5),
    "encoder-alone": make_headless_body,
}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every model of MODELS, and what the other process made of it."""
    folder = tmp_path_factory.mktemp("shelf")
    for name, make in MODELS.items():
        make().eval().save_pretrained(folder / name)
    torch.save(BATCH, folder / "batch")
    (folder / "elsewhere.py").write_text(ELSEWHERE, encoding="utf-8")
    environment = {**os.environ, "HF_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, "elsewhere.py", "batch", *MODELS], cwd=folder, env=environment, check=True, timeout=240
    )
    return folder


@pytest.mark.parametrize("name", MODELS)
def test_a_process_without_this_package_computes_the_same(name: str, shelf: Path) -> None:
    with torch.no_grad():
        expected = minidisc_plugin.load(shelf / name)(**BATCH)[0]
    found = torch.load(shelf / f"{name}.outputs")
    assert "transformers_modules" in found["type"] and ".Narrow" in found["type"]
    for key in ("first", "again"):
        torch.testing.assert_close(found[key], expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", MODELS)
def test_what_that_process_saved_is_a_checkpoint_of_this_package(name: str, shelf: Path) -> None:
    again = shelf / f"{name}-again"
    configs = [json.loads((folder / "config.json").read_text(encoding="utf-8")) for folder in (shelf / name, again)]
    assert configs[0]["layer_sizes"] == configs[1]["layer_sizes"]
    assert configs[0]["architectures"] == configs[1]["architectures"]
    with torch.no_grad():
        expected = minidisc_plugin.load(shelf / name)(**BATCH)[0]
        found = minidisc_plugin.load(again)(**BATCH)[0]
    assert torch.equal(found, expected)
