"""Models opened in a process of their own, where this package cannot be imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from minidisc_plugin.foundation.errors import ExportError
from minidisc_plugin.foundation.printable import printable, shortened

if TYPE_CHECKING:
    from torch import Tensor

# A line in is a model, a line out is what was wrong with it, or nothing.
_PROGRAM = """
import json, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "minidisc_plugin":
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Absent())
sys.modules.setdefault("openvino_telemetry", None)
answers, sys.stdout = sys.stdout, sys.stderr

import torch
from safetensors.torch import load_file, save_file

def outputs_of(opened, folder, inputs):
    scope = {}
    exec(opened, scope)
    with torch.no_grad():
        outputs = scope["opened"](folder)(**load_file(inputs))
    tensors = {name: torch.as_tensor(value) for name, value in dict(outputs).items() if hasattr(value, "shape")}
    return {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}

for line in sys.stdin:
    asked = json.loads(line)
    wrong = ""
    try:
        save_file(outputs_of(asked["opened"], asked["folder"], asked["inputs"]), asked["outputs"])
    except Exception as error:
        wrong = f"{type(error).__name__}: {error}"
    print(json.dumps(wrong), file=answers, flush=True)
"""
# No hub is asked, and what a host would say is no answer.
_ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "PYTHONWARNINGS": "ignore"}


class UnopenedError(Exception):
    """A model that cannot be opened or called where this package is not."""


class Elsewhere:
    """A process without this package; it starts when the first model is opened, and ends with the block."""

    def __init__(self) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="minidisc-elsewhere-")
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        self._scratch.cleanup()

    def outputs(self, label: str, folder: Path, opened: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What an exported model answers to a batch there.

        Args:
            label: For messages.
            folder: Where it lies.
            opened: Python that defines `opened(folder)`.
            inputs: The batch, by name.

        Returns:
            Its outputs by name.

        Raises:
            ExportError: it cannot be opened or called there; with what was said.
        """
        try:
            return self.answers(folder, opened, inputs)
        except UnopenedError as error:
            raise ExportError(
                f"{label}: a process without this package cannot open it ({error}), so it does not count; leave it out "
                "of `steps`, or install another version of the host"
            ) from error

    def answers(self, folder: Path, opened: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """As `outputs`, of any model.

        Raises:
            UnopenedError: it cannot be opened or called there; what was said.
        """
        from safetensors.torch import load_file, save_file

        scratch = Path(self._scratch.name)
        files = {"inputs": str(scratch / "inputs"), "outputs": str(scratch / "outputs")}
        save_file({name: value.contiguous() for name, value in inputs.items()}, files["inputs"])
        wrong = self._asked({"opened": opened, "folder": str(folder.absolute()), **files})
        if wrong:
            raise UnopenedError(shortened(printable(wrong)))
        answered: dict[str, Tensor] = load_file(files["outputs"])
        return answered

    def _asked(self, request: Mapping[str, str]) -> str:
        if self._process is None:
            self._process = self._started()
        assert self._process.stdin and self._process.stdout
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if answer:
            return str(json.loads(answer))
        status = self._end()
        last = (Path(self._scratch.name) / "said").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"it ended with status {status}: {last[-1] if last else 'nothing was said'}"

    def _started(self) -> subprocess.Popen[str]:
        scratch = Path(self._scratch.name)
        with (scratch / "said").open("w", encoding="utf-8") as said:
            return subprocess.Popen(
                [sys.executable, "-c", _PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                cwd=scratch,
                env={**os.environ, **_ENVIRONMENT, "HF_MODULES_CACHE": str(scratch / "modules")},
            )

    def _end(self) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        process.communicate()
        return process.returncode
