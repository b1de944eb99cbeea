"""The doctor on made-up sets of versions, against pyproject.toml, and against what really imports here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import minidisc_plugin
from minidisc_plugin.cli.doctor import render
from minidisc_plugin.integrations.requirements import TITLES, Diagnosis, diagnose

CORE = {
    "torch": "2.13.0+cpu",
    "transformers": "4.57.6",
    "accelerate": "1.15.0",
    "datasets": "5.0.1",
    "evaluate": "0.4.6",
    "filelock": "4.2.12",
    "matplotlib": "3.11.2",
    "numpy": "1.26.4",
    "packaging": "26.3",
    "pluggy": "1.7.0",
    "psutil": "7.2.2",
    "pydantic": "2.14.3",
    "PyYAML": "6.0.3",
    "rich": "15.0.0",
    "safetensors": "0.8.0",
    "scikit-learn": "1.6.1",
    "scipy": "1.15.3",
    "pyarrow": "21.0.0",
    "pandas": "2.3.3",
}
INC = CORE | {
    "neural_compressor": "3.7.1",
    "optimum": "2.1.0",
    "optimum-intel": "1.27.0",
    "openvino": "2026.4.1",
    "nncf": "3.4.0",
    "optimum-onnx": "0.1.0",
    "onnxruntime": "1.32.0",
    "onnx": "1.19.1",
    "setuptools": "80.10.2",
    "six": "1.17.0",
}
LATEST = CORE | {
    "transformers": "5.23.0",
    "numpy": "2.4.6",
    "pandas": "3.1.1",
    "pyarrow": "26.0.1",
    "scipy": "1.17.1",
    "scikit-learn": "1.9.1",
    "optimum": "2.3.0",
}


def working(diagnosis: Diagnosis) -> set[str]:
    return {capability for capability, works in diagnosis.works.items() if works}


def test_the_tested_stack_works_whole() -> None:
    diagnosis = diagnose(INC)
    assert working(diagnosis) == {"core", "inc", "onnx", "openvino"}
    assert {row.verdict for row in diagnosis.rows} == {"ok"}
    assert not any(diagnosis.pins.values())


def test_the_newest_stack_runs_the_core_only() -> None:
    diagnosis = diagnose(LATEST)
    assert working(diagnosis) == {"core"}
    row = diagnosis.row("transformers")
    assert (row.verdict, row.remedy, row.blocks) == (
        "too new",
        "transformers>=4.45,<4.58",
        ("inc", "openvino", "onnx"),
    )
    assert diagnosis.row("numpy").verdict == "ok"  # numpy 2 is no fault where Neural Compressor is not installed
    assert "numpy<2" in diagnosis.pins["inc"]  # yet it has to go when it is to be installed
    assert "pandas<3" in diagnosis.pins["inc"]


@pytest.mark.parametrize(
    ("package", "version", "verdict", "remedy", "left"),
    [
        ("neural-compressor", "3.8", "too new", "neural-compressor==3.7.1", {"core", "onnx", "openvino"}),
        ("neural-compressor", "3.8rc1", "too new", "neural-compressor==3.7.1", {"core", "onnx", "openvino"}),
        ("neural-compressor", "3.10", "too new", "neural-compressor==3.7.1", {"core", "onnx", "openvino"}),
        ("neural-compressor", "3.6", "too old", "neural-compressor==3.7.1", {"core", "onnx", "openvino"}),
        ("neural-compressor", None, "missing", "neural-compressor==3.7.1", {"core", "onnx", "openvino"}),
        ("optimum-intel", "1.28.0", "too new", "optimum-intel==1.27.0", {"core", "onnx"}),
        ("optimum-intel", "2.0.0", "too new", "optimum-intel==1.27.0", {"core", "onnx"}),
        ("optimum", "2.3.0", "too new", "optimum>=2.1,<2.2", {"core"}),
        ("numpy", "2.0.0", "too new", "numpy<2", {"core", "onnx", "openvino"}),
        ("pyarrow", "22.0.0", "too new", "pyarrow<22", {"core", "onnx", "openvino"}),
        ("pandas", "3.0", "too new", "pandas<3", {"core", "onnx", "openvino"}),
        ("scipy", "1.16.0", "too new", "scipy<1.16", {"core", "onnx", "openvino"}),
        ("scikit-learn", "1.7.0", "too new", "scikit-learn<1.7", {"core", "onnx", "openvino"}),
        ("onnx", "1.20.0", "too new", "onnx<1.20", {"core", "onnx", "openvino"}),
        ("setuptools", "81.0", "too new", "setuptools<81", {"core", "onnx", "openvino"}),
        ("setuptools", None, "missing", "setuptools<81", {"core", "onnx", "openvino"}),
        ("six", None, "missing", "six", {"core", "onnx", "openvino"}),
        ("transformers", "4.44.2", "too old", "transformers>=4.45", set()),
        ("transformers", "5.0.0", "too new", "transformers>=4.45,<4.58", {"core"}),
        ("openvino", None, "missing", "openvino>=2025.4", {"core", "inc", "onnx"}),
        ("nncf", None, "missing", "nncf>=2.19", {"core", "inc", "onnx"}),
        ("onnxruntime", None, "missing", "onnxruntime>=1.18", {"core", "inc", "openvino"}),
        ("torch", None, "missing", "torch>=2.6", set()),
        ("torch", "2.3.1", "too old", "torch>=2.6", set()),
        ("torch", "nightly", "unreadable", "torch>=2.6", set()),
    ],
)
def test_one_wrong_package(package: str, version: str | None, verdict: str, remedy: str, left: set[str]) -> None:
    versions = {canonicalize_name(name): value for name, value in INC.items()}
    del versions[canonicalize_name(package)]
    if version is not None:
        versions[canonicalize_name(package)] = version
    diagnosis = diagnose(versions)
    row = diagnosis.row(package)
    assert (row.version, row.verdict, row.remedy) == (version, verdict, remedy)
    assert working(diagnosis) == left
    assert set(row.blocks) == set(TITLES) - left or "core" in row.blocks
    assert {other.package for other in diagnosis.rows if other.verdict != "ok"} == {package}
    assert remedy in render(diagnosis, width=200)


@pytest.mark.parametrize(
    ("version", "own_subclass"), [("4.45.0", False), ("4.46.3", False), ("4.47.0", True), ("4.57.6", True)]
)
def test_transformers_of_the_intel_hosts(version: str, own_subclass: bool) -> None:
    diagnosis = diagnose(INC | {"transformers": version})
    assert working(diagnosis) == {"core", "inc", "onnx", "openvino"}
    assert ("subclass" in diagnosis.row("transformers").why) == own_subclass


def test_a_package_that_is_only_bounded_may_be_missing() -> None:
    versions = {name: version for name, version in INC.items() if name != "onnx"}
    diagnosis = diagnose(versions)
    assert working(diagnosis) == {"core", "inc", "onnx", "openvino"}
    with pytest.raises(KeyError):
        diagnosis.row("onnx")


def test_an_empty_environment() -> None:
    diagnosis = diagnose({})
    assert working(diagnosis) == set()
    assert set(diagnosis.pins["core"]) <= set(diagnosis.pins["inc"])
    assert {row.verdict for row in diagnosis.rows} == {"missing"}


def test_installing_the_pins_mends_the_newest_stack() -> None:
    pins = [Requirement(pin) for pin in diagnose(LATEST).pins["inc"]]
    tested = {canonicalize_name(name): version for name, version in INC.items()}
    after = {canonicalize_name(name): version for name, version in LATEST.items()}
    for pin in pins:
        assert pin.specifier.contains(tested[canonicalize_name(pin.name)])
        after[canonicalize_name(pin.name)] = tested[canonicalize_name(pin.name)]
    assert diagnose(after | {"optimum": "2.1.0"}).works["inc"]


@pytest.mark.parametrize("versions", [INC, LATEST, {}], ids=["inc", "latest", "empty"])
def test_render_says_everything(versions: dict[str, str]) -> None:
    diagnosis = diagnose(versions)
    text = render(diagnosis)
    table, summary = text.split("\n" + TITLES["core"], 1)
    for row in diagnosis.rows:
        assert row.package in table
        assert (row.version or "-") in table
    for capability, title in TITLES.items():
        (line,) = [line for line in (TITLES["core"] + summary).splitlines() if line.startswith(title)]
        assert line.endswith(": works") == diagnosis.works[capability]
        assert re.findall(r'"([^"]+)"', line) == list(diagnosis.pins[capability])
    assert max(len(line) for line in table.splitlines()) <= 110
    assert "\x1b" not in text


def _requirements(extra: str | None) -> dict[str, SpecifierSet]:
    tomllib: Any = pytest.importorskip("tomllib")  # Python 3.11
    project = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text())["project"]
    listed = project["dependencies"] if extra is None else project["optional-dependencies"][extra]
    requirements = [Requirement(text) for text in listed]
    return {canonicalize_name(requirement.name): requirement.specifier for requirement in requirements}


def test_core_rules_are_the_dependencies() -> None:
    pins = {pin.name: pin.specifier for pin in map(Requirement, diagnose({}).pins["core"])}
    assert pins == _requirements(None)


def test_inc_rules_are_the_extra() -> None:
    wrong = {name: "99999" for name in _requirements("inc")} | {"optimum": "2.1"}
    del wrong["six"], wrong["onnxruntime"]  # these have no upper bound, so they are missing
    diagnosis = diagnose(CORE | wrong)
    pins = {pin.name: pin.specifier for pin in map(Requirement, diagnosis.pins["inc"])}
    # The runtime of the ONNX export, whose exporter comes with optimum-intel.
    runtime = next(pin for pin in map(Requirement, diagnosis.pins["onnx"]) if pin.name == "onnxruntime")
    assert pins | {"onnxruntime": runtime.specifier} == _requirements("inc")


def test_nothing_is_imported() -> None:
    code = (  # the package without its __init__, which imports what it likes
        "import sys, types\n"
        "bare = sys.modules['minidisc_plugin'] = types.ModuleType('minidisc_plugin')\n"
        f"bare.__path__ = [{str(Path(minidisc_plugin.__file__).parent)!r}]\n"
        "from minidisc_plugin.cli.doctor import render\n"
        "from minidisc_plugin.integrations.requirements import diagnose\n"
        "render(diagnose())\n"
        "judged = {'torch', 'transformers', 'numpy', 'neural_compressor', 'optimum', 'openvino', 'nncf'}\n"
        "print(*sorted(judged & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("capability", "code"),
    [
        (
            "inc",
            "from neural_compressor.training import prepare_compression\nfrom optimum.intel import INCTrainer",
        ),
        ("openvino", "import openvino; from optimum.exporters.openvino import export_from_model"),
        ("onnx", "import onnxruntime; from optimum.exporters.onnx import onnx_export_from_model"),
    ],
)
def test_the_verdict_on_this_environment_is_what_really_imports(capability: Any, code: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert diagnose().works[capability] == (done.returncode == 0), done.stderr
