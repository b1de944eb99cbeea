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
from minidisc_plugin.integrations.requirements.diagnosis import Diagnosis, diagnose
from minidisc_plugin.integrations.requirements.routes import ROUTES, TITLES

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
    "transformers": "5.24.0",
    "numpy": "2.4.6",
    "pandas": "3.1.1",
    "pyarrow": "26.0.1",
    "scipy": "1.17.1",
    "scikit-learn": "1.9.1",
    "optimum": "2.3.0",
}
EXPORT = LATEST | {
    "openvino": "2026.4.1",
    "nncf": "3.4.0",
    "onnx": "1.23.2",
    "onnxscript": "0.7.2",
    "onnxruntime": "1.32",
}
NEW_OPTIMUM = LATEST | {"transformers": "5.5.4", "optimum-intel": "2.2.0", "openvino": "2026.4.1", "nncf": "3.4.0"}
ON_INC = {"core", "host", "openvino", "openvino_bits", "onnx", "onnx_bits", "torch_bits"}


def working(diagnosis: Diagnosis) -> set[str]:
    return {capability for capability, works in diagnosis.works.items() if works}


def routes_of(diagnosis: Diagnosis) -> dict[str, list[str]]:
    return {capability: [route.name for route in routes] for capability, routes in diagnosis.routes.items() if routes}


def test_the_frozen_stack_works_whole() -> None:
    diagnosis = diagnose(INC)
    assert working(diagnosis) == ON_INC
    assert {row.verdict for row in diagnosis.rows} == {"ok"}
    assert not any(diagnosis.pins.values()) and not diagnosis.apart


def test_todays_stack_exports_without_a_host() -> None:
    diagnosis = diagnose(EXPORT)
    assert routes_of(diagnosis) == {
        "core": ["core"],
        "openvino": ["transformers"],
        "openvino_bits": ["transformers"],
        "onnx": ["transformers"],
        "onnx_bits": ["dynamic", "nncf"],
    }
    assert diagnosis.row("transformers").verdict == "ok"
    assert diagnosis.pins["host"] == ("neural-compressor[pt]>=3.8",)  # one requirement more, and nothing older
    assert diagnosis.pins["torch_bits"] == ("torchao>=0.15",)


def test_what_is_advised_takes_nothing_away() -> None:
    diagnosis = diagnose(LATEST)
    assert working(diagnosis) == {"core"}
    assert not diagnosis.apart
    for capability in ("openvino", "openvino_bits", "onnx", "onnx_bits", "host", "torch_bits"):
        named = {canonicalize_name(Requirement(pin).name) for pin in diagnosis.pins[capability]}
        assert named and not named & {canonicalize_name(name) for name in LATEST}, capability


def test_optimum_intel_2_exports_where_it_can() -> None:
    diagnosis = diagnose(NEW_OPTIMUM)
    assert [route.said for route in diagnosis.routes["openvino"]] == ["Optimum Intel 2.2"]
    assert diagnosis.row("optimum-intel").verdict == "ok" and not diagnosis.pins["openvino_bits"]
    beyond = diagnose(NEW_OPTIMUM | {"transformers": "5.24.0"})
    assert [route.said for route in beyond.routes["openvino"]] == ["transformers.exporters"]
    between = diagnose(NEW_OPTIMUM | {"transformers": "5.10.0"})
    assert not between.works["openvino"] and "openvino" in between.apart


@pytest.mark.parametrize("stack", [INC, EXPORT], ids=["frozen", "today"])
@pytest.mark.parametrize(
    ("package", "namesake"),
    [
        ("onnxruntime", "onnxruntime-gpu"),
        ("onnxruntime", "onnxruntime_directml"),
        ("onnxruntime", "onnxruntime-openvino"),
        ("openvino", "openvino-nightly"),
    ],
)
def test_builds_under_other_names_work_as_the_package_does(package: str, namesake: str, stack: dict[str, str]) -> None:
    without = {name: version for name, version in stack.items() if name != package}
    found = diagnose(without | {namesake: stack[package]})
    assert routes_of(found) == routes_of(diagnose(stack)) and not found.pins["onnx"] and not found.pins["openvino"]
    assert found.row(namesake).verdict == "ok"
    old = diagnose(without | {namesake: "1.0"})
    row, kind = old.row(namesake), "onnx" if package == "onnxruntime" else "openvino"
    assert row.verdict == "too old" and row.remedy in old.pins[kind]
    assert str(row.remedy).startswith(f"{canonicalize_name(namesake)}>=")  # never both


def test_neural_compressor_3_8_and_newer() -> None:
    bare = LATEST | {"neural-compressor": "3.10"}
    assert not diagnose(bare).works["host"] and diagnose(bare).pins["host"] == ("neural-compressor[pt]>=3.8",)
    whole = bare | {"torchao": "0.18.0", "prettytable": "3.18.0", "py-cpuinfo": "9.0.0"}
    assert [route.name for route in diagnose(whole).routes["host"]] == ["inc3"]
    alone = {name: version for name, version in whole.items() if name != "neural-compressor"}
    assert [route.name for route in diagnose(alone | {"neural-compressor-pt": "3.10"}).routes["host"]] == ["inc3"]
    assert "3.7.1" not in render(diagnose(whole))


@pytest.mark.parametrize(
    ("package", "version", "verdict", "remedy", "lost"),
    [
        ("neural-compressor", "3.6", "too old", "neural-compressor==3.7.1", {"torch_bits", "host"}),
        ("neural-compressor", None, "missing", "neural-compressor==3.7.1", {"torch_bits", "host"}),
        (
            "optimum-intel",
            "1.28.0",
            "too new",
            "optimum-intel==1.27.0",
            ON_INC - {"core", "onnx", "onnx_bits"},
        ),
        ("optimum", "2.3.0", "too new", "optimum>=2.1,<2.2", ON_INC - {"core"}),
        ("transformers", "4.44.2", "too old", "transformers>=4.45", ON_INC),
        ("openvino", None, "missing", "openvino>=2025.4", {"openvino", "openvino_bits"}),
        ("nncf", None, "missing", "nncf>=2.19", {"openvino", "openvino_bits"}),
        ("onnxruntime", None, "missing", "onnxruntime>=1.18", {"onnx", "onnx_bits"}),
        ("torch", None, "missing", "torch>=2.6", ON_INC),
        ("torch", "2.3.1", "too old", "torch>=2.6", ON_INC),
        ("torch", "nightly", "unreadable", "torch>=2.6", ON_INC),
    ],
)
def test_one_wrong_package_of_the_frozen_stack(
    package: str, version: str | None, verdict: str, remedy: str, lost: set[str]
) -> None:
    versions = {canonicalize_name(name): value for name, value in INC.items()}
    del versions[canonicalize_name(package)]
    if version is not None:
        versions[canonicalize_name(package)] = version
    diagnosis = diagnose(versions)
    assert working(diagnosis) == ON_INC - lost
    # A host that only has to be added is nearer than one whose versions have to change.
    nearer = {capability for capability in lost if remedy not in diagnosis.pins[capability]}
    assert nearer <= {"host", "torch_bits"}
    for capability in lost - nearer:
        assert remedy in diagnosis.pins[capability]
    row = diagnosis.row(package) if lost - nearer else None
    assert row is None or (row.version, row.verdict, row.remedy) == (version, verdict, remedy)


@pytest.mark.parametrize(
    ("package", "version"),
    [
        ("numpy", "2.0.0"),
        ("pyarrow", "22.0.0"),
        ("pandas", "3.0"),
        ("scipy", "1.16.0"),
        ("scikit-learn", "1.7.0"),
        ("onnx", "1.20.0"),
        ("setuptools", "81.0"),
        ("setuptools", None),
        ("six", None),
    ],
)
def test_companions_of_neural_compressor(package: str, version: str | None) -> None:
    versions = {canonicalize_name(name): value for name, value in INC.items()}
    versions.pop(package)
    diagnosis = diagnose(versions | ({package: version} if version else {}))
    assert working(diagnosis) == ON_INC - {"host", "torch_bits"}


def test_a_package_that_is_only_bounded_may_be_missing() -> None:
    diagnosis = diagnose({name: version for name, version in INC.items() if name != "onnx"})
    assert working(diagnosis) == ON_INC
    with pytest.raises(KeyError):
        diagnosis.row("onnx")


def test_an_empty_environment() -> None:
    diagnosis = diagnose({})
    assert working(diagnosis) == set()
    for capability in TITLES:
        assert set(diagnosis.pins["core"]) <= set(diagnosis.pins[capability])
    assert {row.verdict for row in diagnosis.rows} == {"missing"}


@pytest.mark.parametrize("versions", [INC, LATEST, EXPORT, {}], ids=["inc", "latest", "export", "empty"])
def test_render_says_everything(versions: dict[str, str]) -> None:
    diagnosis = diagnose(versions)
    text = render(diagnosis)
    table, summary = text.split("\n" + TITLES["core"], 1)
    for row in diagnosis.rows:
        assert row.package in table
        assert (row.version or "-") in table
    for capability, title in TITLES.items():
        (line,) = [line for line in (TITLES["core"] + summary).splitlines() if line.startswith(title + ":")]
        assert (": works" in line) == diagnosis.works[capability]
        for route in diagnosis.routes[capability]:
            assert route.said in line
        assert re.findall(r'"([^"]+)"', line) == list(diagnosis.pins[capability])
        assert ("environment of its own" in line) == (capability in diagnosis.apart)
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


@pytest.mark.parametrize(
    ("extra", "capabilities"),
    [
        ("inc", [("host", "INCTrainer"), ("openvino_bits", "Optimum Intel 1.27"), ("onnx", "Optimum ONNX")]),
        ("export", [("openvino_bits", "transformers.exporters"), ("onnx_bits", "NNCF")]),
        ("inc3", [("host", "Neural Compressor 3.8")]),
        ("olive", [("host", "Olive")]),
        ("torchao", [("torch_bits", "torchao")]),
        ("openvino", [("openvino_bits", "Optimum Intel 2.2")]),
    ],
)
def test_an_extra_asks_for_what_its_routes_need(extra: str, capabilities: list[tuple[Any, str]]) -> None:
    asked = _requirements(extra)
    for capability, said in capabilities:
        (route,) = [route for route in ROUTES[capability] if route.said.startswith(said)]
        for rule in route.rules:
            if rule.optional or rule.package not in asked:
                continue
            pin = Requirement(rule.remedy)
            for edge in filter(None, (rule.low, rule.below)):
                assert asked[rule.package].contains(edge) <= pin.specifier.contains(edge), rule


def test_nothing_is_imported() -> None:
    code = (  # the package without its __init__, which imports what it likes
        "import sys, types\n"
        "bare = sys.modules['minidisc_plugin'] = types.ModuleType('minidisc_plugin')\n"
        f"bare.__path__ = [{str(Path(minidisc_plugin.__file__).parent)!r}]\n"
        "from minidisc_plugin.cli.doctor import render\n"
        "from minidisc_plugin.integrations.requirements.diagnosis import diagnose\n"
        "render(diagnose())\n"
        "judged = {'torch', 'transformers', 'numpy', 'neural_compressor', 'optimum', 'openvino', 'nncf'}\n"
        "print(*sorted(judged & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


IMPORTS: dict[tuple[str, str], str] = {
    ("host", "inc"): "from neural_compressor.training import prepare_compression\nfrom optimum.intel import INCTrainer",
    # 3.7 has these, too, beside what prunes; hosts and rooms are told apart by the release.
    ("host", "inc3"): "from neural_compressor.torch.quantization import autotune, quantize\n"
    "from neural_compressor.common.base_config import register_config\n"
    "from neural_compressor import version; assert version.__version__.split('.')[:2] != ['3', '7']",
    ("host", "olive"): "from olive.passes import Pass; from olive.passes.pass_config import PassParamDefault",
    ("openvino", "optimum"): "import openvino; from optimum.exporters.openvino import export_from_model",
    (
        "openvino",
        "transformers",
    ): "import openvino; from transformers.exporters import ExportedModel, OpenVINOExporter\nOpenVINOExporter()",
    ("onnx", "optimum"): "import onnxruntime; from optimum.exporters.onnx import onnx_export_from_model",
    ("onnx", "transformers"): "import onnxruntime; from transformers.exporters import ExportedModel, OnnxExporter\n"
    "OnnxExporter()",
    ("onnx_bits", "nncf"): "from transformers.exporters import NNCFOnnxQuantizer; import nncf.onnx; import onnxscript",
    ("torch_bits", "torchao"): "from torchao.quantization import Int8WeightOnlyConfig\n"
    "from transformers import TorchAoConfig\nTorchAoConfig(Int8WeightOnlyConfig())",
}


@pytest.mark.parametrize(("capability", "route"), IMPORTS)
def test_the_verdict_on_this_environment_is_what_really_imports(capability: Any, route: str, tmp_path: Path) -> None:
    code = IMPORTS[capability, route]
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    found = [one.name for one in diagnose().routes[capability]]
    assert (route in found) == (done.returncode == 0), done.stderr
