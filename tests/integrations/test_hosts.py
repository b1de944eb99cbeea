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
from minidisc_plugin.integrations import requirements
from minidisc_plugin.integrations.hosts import available, require
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
        monkeypatch.setattr(
            requirements, "installed_versions", lambda: {k: v for k, v in found.items() if v is not None}
        )

    return install


@pytest.mark.parametrize(
    ("capability", "package", "version", "parts"),
    [
        ("inc", "neural_compressor", "3.10", ("neural-compressor 3.10 is too new", "removed in 3.8", "==3.7.1")),
        ("inc", "optimum_intel", "2.0.0", ("optimum-intel 2.0.0 is too new", "INCTrainer is gone", "==1.27.0")),
        ("inc", "numpy", "2.4.6", ("numpy 2.4.6 is too new", "needs numpy 1", "numpy<2")),
        ("inc", "neural_compressor", None, ("neural-compressor is missing", "neural-compressor==3.7.1")),
        ("openvino", "nncf", None, ("nncf is missing", "nncf>=2.19")),
        ("onnx", "onnxruntime", None, ("onnxruntime is missing", "onnxruntime>=1.18")),
    ],
)
def test_the_message_names_version_reason_and_pin(
    capability: Any, package: str, version: str | None, parts: tuple[str, ...], installed: Any
) -> None:
    installed(INC, **{package: version})
    assert not available(capability)
    with pytest.raises(HostError) as caught:
        require(capability)
    assert isinstance(caught.value, (MinidiscError, ImportError)) and "\n" not in str(caught.value)
    for part in (*parts, "pip install"):
        assert part in str(caught.value)


def test_the_tested_stack_is_let_through(installed: Any) -> None:
    installed(INC)
    for capability in requirements.TITLES:
        require(capability)


@pytest.mark.parametrize("name", ["inc", "optimum"])
def test_importing_an_integration_says_why_it_cannot(
    name: str, installed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(LATEST)
    module = f"minidisc_plugin.integrations.{name}"
    for loaded in [found for found in sys.modules if found.startswith(module)]:
        monkeypatch.delitem(sys.modules, loaded)
    with pytest.raises(ImportError, match=r"transformers 5\.23\.0 is too new.*pip install"):
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
