"""Hosts that cannot work are refused by name, version, reason and pin; the core works without any."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.validation import validate
from minidisc_plugin.foundation.errors import HostError, MinidiscError
from minidisc_plugin.integrations.hosts import available, require
from minidisc_plugin.integrations.requirements import diagnosis
from minidisc_plugin.integrations.requirements.routes import TITLES
from minidisc_plugin.run.pipeline import compress
from tests.builders.tiny import make_config
from tests.cli.test_doctor import INC, LATEST


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that makes the versions it is given the installed ones, for the doctor."""

    def install(versions: dict[str, str], **changes: str | None) -> None:
        found = {**versions, **{name.replace("_", "-"): version for name, version in changes.items()}}
        if "neural-compressor" in found:
            found.pop("neural_compressor", None)
        monkeypatch.setattr(diagnosis, "installed_versions", lambda: {k: v for k, v in found.items() if v is not None})

    return install


@pytest.mark.parametrize(
    ("capability", "route", "package", "version", "parts"),
    [
        (
            "host",
            "inc",
            "neural_compressor",
            "3.10",
            ("neural-compressor 3.10 is too new", "removed in 3.8", "==3.7.1"),
        ),
        ("host", "inc", "optimum_intel", "2.0.0", ("optimum-intel 2.0.0 is too new", "INCTrainer is gone", "==1.27.0")),
        ("host", "inc", "numpy", "2.4.6", ("numpy 2.4.6 is too new", "needs numpy 1", "numpy<2", "of its own")),
        ("host", "inc", "neural_compressor", None, ("neural-compressor is missing", "neural-compressor==3.7.1")),
        ("host", "inc3", "six", None, ("Neural Compressor 3.8", "neural-compressor 3.7.1 is too old", "[pt]>=3.8")),
        ("openvino", None, "nncf", None, ("nncf is missing", "nncf>=2.19")),
        ("onnx", None, "onnxruntime", None, ("onnxruntime is missing", "onnxruntime>=1.18")),
    ],
)
def test_the_message_names_version_reason_and_pin(
    capability: Any, route: str | None, package: str, version: str | None, parts: tuple[str, ...], installed: Any
) -> None:
    installed(INC, **{package: version})
    assert not available(capability, route)
    with pytest.raises(HostError) as caught:
        require(capability, route)
    assert isinstance(caught.value, (MinidiscError, ImportError)) and "\n" not in str(caught.value)
    for part in (*parts, "pip install"):
        assert part in str(caught.value)


def test_the_tested_stack_is_let_through(installed: Any) -> None:
    installed(INC)
    assert {capability: require(capability) for capability in TITLES} == {
        "core": "core",
        "host": "inc",
        "openvino": "optimum",
        "openvino_bits": "optimum",
        "onnx": "optimum",
        "onnx_bits": "dynamic",
        "torch_bits": "inc",
    }


def test_a_scheme_that_cannot_be_had_names_those_that_can(installed: Any, run_files: Path, tmp_path: Path) -> None:
    installed(INC)
    changes = {"steps": ["quantization"], "quantization": {"schemes": ["onnx_int8"]}}
    config = validate(CompressionConfig, make_config(run_files, output_dir=str(tmp_path / "out"), **changes))
    with pytest.raises(
        HostError, match=r"take one of quantization\.schemes that work here \(openvino_int8, .*inc_static\)"
    ):
        compress(config)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["inc", "optimum"])
def test_importing_an_integration_says_why_it_cannot(
    name: str, installed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(LATEST)
    module = f"minidisc_plugin.integrations.{name}"
    for loaded in [found for found in sys.modules if found.startswith(module)]:
        monkeypatch.delitem(sys.modules, loaded)
    with pytest.raises(ImportError, match=r"neural-compressor is missing.*transformers>=4\.45,<4\.58"):
        importlib.import_module(module)


@pytest.mark.parametrize(
    "changes",
    [{"trainer": "inc"}, {"steps": ["export"]}, {"steps": ["quantization"]}],
    ids=str,
)
def test_a_config_that_needs_a_host_is_refused_before_training(
    changes: dict[str, Any], installed: Any, run_files: Path, tmp_path: Path
) -> None:
    installed(LATEST)
    out = tmp_path / "out"
    config = validate(CompressionConfig, make_config(run_files, output_dir=str(out), **changes))
    with pytest.raises(HostError, match="pip install"):
        compress(config)
    assert not out.exists()


def test_the_core_works_without_a_host(installed: Any, run_files: Path, tmp_path: Path) -> None:
    installed(LATEST)
    config = validate(CompressionConfig, make_config(run_files, output_dir=str(tmp_path / "out"), scheduler="direct"))
    assert compress(config).results.row("student") is not None
