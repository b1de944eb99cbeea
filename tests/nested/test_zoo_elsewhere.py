"""Every family's checkpoints load, and compute the same, in a process that cannot import this package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel

import minidisc_plugin
from minidisc_plugin.plugins import families
from tests.builders.zoo import SEQ2SEQ, ZOO, here, make_inputs, make_model, outputs_of
from tests.nested.test_zoo import make_nested

# Uniform slices that the family's config can express.
STOCK = {case for case in ZOO if families()[case.partition("/")[0]].stock}
CASES = [(case, allocation) for case in here() for allocation in ("global", "uniform")]

# Loads each folder as its config says, and leaves outputs beside it.
ELSEWHERE = """
import json, sys
sys.modules["minidisc_plugin"] = None  # an import of it raises ImportError
from pathlib import Path
import torch, transformers

for folder in map(Path, sys.argv[1:]):
    config = json.loads((folder / "config.json").read_text())
    if "auto_map" in config:
        auto = getattr(transformers, next(iter(config["auto_map"])))
        model = auto.from_pretrained(folder, trust_remote_code=True)
    else:
        model = getattr(transformers, config["architectures"][0]).from_pretrained(folder)
    with torch.no_grad():
        found = model.eval()(**torch.load(folder / "inputs"))
    torch.save(found["logits"] if "logits" in found else found[0], folder / "outputs")
assert sys.modules["minidisc_plugin"] is None
"""


def unsaved_of(model: PreTrainedModel) -> list[Tensor]:
    """What no checkpoint holds: Marian's positions, which are computed."""
    names = set(model._keys_to_ignore_on_save or ())
    return [weight for name, weight in model.named_parameters() if name in names]


def folder_of(case: str, allocation: str) -> str:
    return f"{case.replace('/', '-')}-{allocation}"


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a student of every case, and what the other process computed with it."""
    shelf = tmp_path_factory.mktemp("shelf")
    for case, allocation in CASES:
        folder = shelf / folder_of(case, allocation)
        make_nested(case, allocation).extract(0.5).save_pretrained(folder)
        inputs = make_inputs(case)
        labels = inputs.pop("labels", None)
        if ZOO[case][0].endswith(SEQ2SEQ):
            inputs["decoder_input_ids"] = labels.clamp_min(0)
        torch.save(inputs, folder / "inputs")
    (shelf / "elsewhere.py").write_text(ELSEWHERE, encoding="utf-8")
    environment = {**os.environ, "HF_HOME": str(shelf / "home"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    folders = [folder_of(*case) for case in CASES]
    subprocess.run([sys.executable, "elsewhere.py", *folders], cwd=shelf, env=environment, check=True, timeout=240)
    return shelf


@pytest.mark.parametrize(("case", "allocation"), CASES)
def test_a_process_without_this_package_computes_the_same(case: str, allocation: str, shelf: Path) -> None:
    folder = shelf / folder_of(case, allocation)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert ("layer_sizes" not in config) == (allocation == "uniform" and case in STOCK)
    nested, inputs = make_nested(case, allocation), make_inputs(case)
    nested.set_scale(0.5)
    expected = outputs_of(nested.model, inputs)
    torch.testing.assert_close(torch.load(folder / "outputs"), expected, atol=1e-5, rtol=0)
    loaded = minidisc_plugin.load(folder)
    torch.testing.assert_close(outputs_of(loaded, inputs), expected, atol=1e-5, rtol=0)
    buffers = {name for name, _ in loaded.named_buffers()}
    tensors = load_file(folder / "model.safetensors")
    computed = sum(weight.numel() for weight in unsaved_of(nested.model))
    saved = sum(tensor.numel() for name, tensor in tensors.items() if name not in buffers)
    assert saved + computed == nested.parameter_counts(0.5)[0]


@pytest.mark.parametrize("case", here())
def test_all_that_a_step_changes_is_saved(case: str, tmp_path: Path) -> None:
    """Of a teacher that was loaded: transformers 5 lets positions of Marian learn, and saves none of them."""
    make_model(case).save_pretrained(tmp_path / "teacher")
    teacher = type(make_model(case)).from_pretrained(tmp_path / "teacher")
    nested, inputs = minidisc_plugin.NestedModel(teacher), make_inputs(case)
    features = inputs if "labels" in inputs else {**inputs, "output_hidden_states": True}
    found = nested.train()(**features)
    (found.loss if "labels" in inputs else found.last_hidden_state.pow(2).mean()).backward()
    torch.optim.SGD(nested.parameters(), lr=0.1).step()
    small = nested.extract(0.5)
    small.save_pretrained(tmp_path / "student")
    loaded = minidisc_plugin.load(tmp_path / "student")
    torch.testing.assert_close(outputs_of(loaded, inputs), outputs_of(small, inputs), atol=1e-5, rtol=0)
