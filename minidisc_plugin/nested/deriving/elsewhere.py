"""That a student is what its slice was, and that it loads where this package is not installed."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from minidisc_plugin.contracts.family import Family
from minidisc_plugin.foundation.elsewhere import Elsewhere, UnopenedError
from minidisc_plugin.foundation.errors import UnsupportedModelError
from minidisc_plugin.foundation.model_files.quiet import quiet
from minidisc_plugin.nested.deriving.probing import probe_inputs
from minidisc_plugin.nested.model import NestedModel

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_SCALE = 0.5
_CLOSE = 1e-4  # of the largest output: saved in fp32

_OPENED = """
def opened(folder):
    import functools, json, pathlib, transformers
    config = json.loads(pathlib.Path(folder, "config.json").read_text(encoding="utf-8"))
    auto = getattr(transformers, next(name for name in config["auto_map"] if name != "AutoConfig"))
    model = auto.from_pretrained(folder, trust_remote_code=True, dtype="float32").eval()
    return functools.partial(model, **{settings})
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
    expected = _tensors(nested.model(**inputs))
    student = nested.extract(_SCALE)
    _compare(_tensors(student(**inputs)), expected, "an extracted model")
    batch = _tensors(inputs)
    settings = {name: value for name, value in inputs.items() if name not in batch}
    with tempfile.TemporaryDirectory(prefix="minidisc-") as folder, Elsewhere() as elsewhere:
        with quiet():
            student.save_pretrained(folder)
        try:
            found = elsewhere.answers(Path(folder), _OPENED.replace("{settings}", repr(settings)), batch)
        except UnopenedError as error:
            raise UnsupportedModelError(f"a saved model does not load without this package ({error})") from error
    _compare(found, expected, "a saved model, loaded without this package,")


def _tensors(named: Mapping[str, Any]) -> dict[str, Tensor]:
    return {name: value for name, value in named.items() if isinstance(value, Tensor)}


def _compare(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], what: str) -> None:
    for name, tensor in expected.items():
        other = found.get(name)
        same = other is not None and other.shape == tensor.shape
        if other is None or not same or not (other - tensor).abs().max() <= _CLOSE * tensor.abs().max():
            raise UnsupportedModelError(f"{what} does not compute what its slice does")
