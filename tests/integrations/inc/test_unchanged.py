"""Importing the integrations registers names of ours, and changes nothing of the hosts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import inspect
import neural_compressor, neural_compressor.training, optimum.intel
from neural_compressor.compression import callbacks
from neural_compressor.compression.distillation import criterions
from neural_compressor.compression.pruner import criteria, pruning, pruners, regs, schedulers
from neural_compressor.compression.pruner.pruners import base
from neural_compressor import config, training
from neural_compressor.model import model as wrapped
from optimum.intel.neural_compressor import configuration, quantization, trainer
from optimum.exporters.openvino import convert
from transformers import trainer as plain

MODULES = (callbacks, criterions, criteria, pruning, pruners, regs, schedulers, base, config, training, wrapped,
           configuration, quantization, trainer, convert, plain)
TABLES = {
    "pruners": base.PRUNERS, "criterions": criterions.PYTORCH_CRITERIONS, "criteria": criteria.CRITERIA,
    "prunings": pruning.PRUNINGS, "schedulers": schedulers.SCHEDULERS, "regs": regs.REGS,
    "tensorflow": criterions.TENSORFLOW_CRITERIONS, "models": wrapped.MODELS,
}

def state():
    code = {}
    for module in MODULES:
        for name, value in vars(module).items():
            code[module.__name__, name] = id(value)
            if inspect.isclass(value):
                code.update({(module.__name__, name, key): id(member) for key, member in vars(value).items()
                             if callable(member)})
    return code, {name: dict(table) for name, table in TABLES.items()}

code, tables = state()
workspace = config.options.workspace
import minidisc_plugin.integrations.inc, minidisc_plugin.integrations.optimum
import minidisc_plugin.integrations.optimum.distiller, minidisc_plugin.integrations.inc.quantization
import minidisc_plugin.integrations.export.optimum_openvino, minidisc_plugin.integrations.export.optimum_onnx
code_after, tables_after = state()
changed = sorted(key for key in code.keys() | code_after.keys() if code.get(key) != code_after.get(key))
changed = [key for key in changed if key[-1] not in ("__warningregistry__",)]
assert not changed, changed
added = {(name, key) for name, table in tables_after.items() for key in table if key not in tables[name]}
assert added == {("pruners", "pt_minidisc"), ("criterions", "MiniDiscLoss")}, added
assert all(tables_after[name][key] is value for name, table in tables.items() for key, value in table.items())
assert config.options.workspace == workspace
print("unchanged")
"""


def test_importing_the_integrations_registers_our_names_only(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().endswith("unchanged")
    assert not list(tmp_path.iterdir())
