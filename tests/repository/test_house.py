"""The house: floors, sizes of files and functions, and that docs/architecture.md speaks of what is there."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "minidisc_plugin"
MODULES = sorted(PACKAGE.rglob("*.py"))
ARCHITECTURE = ROOT / "docs" / "architecture.md"

LINES = 300
LINES_OF_A_FUNCTION = 60
ARGUMENTS = 8
# Its arguments are those of the function of Neural Compressor that it stands for, each explained.
LONG = {"prepare_compression"}


def functions(module: Path) -> Iterator[ast.FunctionDef]:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_files_functions_and_constructors_are_small(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) <= LINES
    for function in functions(module):
        lines = (function.end_lineno or 0) - function.lineno + 1
        assert lines <= LINES_OF_A_FUNCTION or function.name in LONG, function.name
        given = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        assert function.name != "__init__" or len(given) - 1 <= ARGUMENTS, f"line {function.lineno}"


def test_floors_and_no_circle() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    done = subprocess.run([*command, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    contracts = (ROOT / ".importlinter").read_text(encoding="utf-8")
    assert "exclude_type_checking_imports = False" in contracts, "imports for types count, too"


def test_every_room_stands_on_a_floor() -> None:
    rooms = {f"minidisc_plugin.{path.stem}" for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    rooms -= {"minidisc_plugin.__init__", "minidisc_plugin.__pycache__"}
    layers = (ROOT / ".importlinter").read_text(encoding="utf-8").partition("layers =")[2].partition("\n\n")[0]
    assert rooms == set(layers.split())


def test_the_lower_floors_load_without_torch() -> None:
    rooms = ("foundation", "contracts", "selection")
    names = [".".join(module.relative_to(ROOT).with_suffix("").parts) for module in MODULES]
    light = [name for name in names if name.split(".")[1] in rooms and not name.startswith(tuple(HEAVY))]
    code = f"import importlib, sys\nfor name in {light!r}: importlib.import_module(name.removesuffix('.__init__'))\n"
    subprocess.run([sys.executable, "-c", code + "assert 'torch' not in sys.modules"], check=True)


# What looks into folders of models reads tensors.
HEAVY = ("minidisc_plugin.foundation.model_files",)


def test_the_architecture_page_names_what_is_there() -> None:
    text = ARCHITECTURE.read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:minidisc_plugin|optimum)/[\w/.]*)`", text))
    assert len(named) > 30
    assert [path for path in named if not (ROOT / path).exists()] == []
    for page in re.findall(r"\]\(([\w.]+)\)", text):
        assert (ARCHITECTURE.parent / page).is_file(), page
    rooms = {f"minidisc_plugin/{path.name}/" for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert rooms <= named, "a room that the page does not name"
