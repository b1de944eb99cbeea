"""That a student is what its slice was, and that it loads where this package is not installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from minidisc_plugin.contracts.family import Family
from minidisc_plugin.foundation.errors import UnsupportedModelError
from minidisc_plugin.foundation.model_files.quiet import quiet
from minidisc_plugin.foundation.printable import one_line
from minidisc_plugin.nested.deriving.probing import floats, probe_inputs
from minidisc_plugin.nested.model import NestedModel

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_SCALE = 0.5
_CLOSE = 1e-4  # of the largest output: saved in fp32
_SECONDS = 300

_SCRIPT = """
import sys
sys.modules["minidisc_plugin"] = None  # an import of it fails
import json, torch, transformers
from safetensors.torch import load_file, save_file
config = json.load(open("student/config.json", encoding="utf-8"))
auto = getattr(transformers, next(name for name in config["auto_map"] if name != "AutoConfig"))
model = auto.from_pretrained("student", trust_remote_code=True, dtype=torch.float32).eval()
inputs = load_file("inputs")
found = model(**inputs, **json.load(open("settings.json", encoding="utf-8")))
first = found["logits"] if "logits" in found else found[0]
save_file({"first": first.detach().contiguous()}, "outputs")
"""


@torch.no_grad()
def check_elsewhere(model: PreTrainedModel, family: Family) -> None:
    """Refuse a family whose students are not their slices, or do not load without this package.

    Args:
        model: A copy with weights that matter, which is used up.
        family: Derived for it.

    Raises:
        UnsupportedModelError: says which, and how.
    """
    nested = NestedModel(model.float(), family)
    nested.set_scale(_SCALE)
    inputs = probe_inputs(model)
    expected = _first(nested.model(**inputs))
    student = nested.extract(_SCALE)
    _compare(_first(student(**inputs)), expected, "an extracted model")
    with tempfile.TemporaryDirectory(prefix="minidisc-") as folder:
        with quiet():
            student.save_pretrained(Path(folder, "student"))
        found = _computed_elsewhere(Path(folder), inputs)
    _compare(found, expected, "a saved model, loaded without this package,")


def _computed_elsewhere(folder: Path, inputs: dict[str, Any]) -> Tensor:
    tensors = {key: value for key, value in inputs.items() if isinstance(value, Tensor)}
    save_file(tensors, folder / "inputs")
    settings = {key: value for key, value in inputs.items() if key not in tensors}
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": os.fspath(folder / "modules")}
    try:
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UnsupportedModelError(f"a saved model did not load within {_SECONDS} s") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UnsupportedModelError(f"a saved model does not load without this package ({one_line(last)})")
    return torch.as_tensor(load_file(folder / "outputs")["first"])


def _first(found: Any) -> Tensor:
    return torch.as_tensor(found["logits"]) if "logits" in found else next(floats(found))


def _compare(found: Tensor, expected: Tensor, what: str) -> None:
    distance = float((found - expected).abs().max() / expected.abs().max()) if found.shape == expected.shape else None
    if distance is None or not distance <= _CLOSE:
        raise UnsupportedModelError(f"{what} does not compute what its slice does")
