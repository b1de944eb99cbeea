"""Documents: their Python runs or compiles, their imports, links and config keys exist."""

from __future__ import annotations
import __future__

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
import yaml

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.scheduler import Schedule, Scheduler
from minidisc_plugin.contracts.validation import settings_of
from minidisc_plugin.contracts.workbench import Workbench
from minidisc_plugin.foundation.errors import HostError
from minidisc_plugin.plugins import host
from minidisc_plugin.run.shipped import minidisc_register_objectives

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md")])
EXECUTED = (ROOT / "docs" / "hooks.md", ROOT / "docs" / "schedulers.md")
EXAMPLE = ROOT / "examples" / "third_party_scheduler"
# Hosts that are installed in one of the tested stacks only.
OPTIONAL = {
    *("modelopt", "neural_compressor", "nncf", "olive", "onnx", "onnxruntime", "openvino", "optimum", "torchao", "trl"),
}


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of a Markdown text that are marked as `language`, without common indentation."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", text, flags=re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for _, block in found]


def sections(text: str) -> dict[str, str]:
    """The parts of a Markdown text under its third-level headings."""
    found = re.findall(r"^### ([^\n]+)\n(.*?)(?=^##|\Z)", text, flags=re.MULTILINE | re.DOTALL)
    return {title.strip(): body for title, body in found}


def code_of(source: str, name: str) -> CodeType:
    """A compiled block; annotations stay text, so that an excerpt needs no names but those it uses."""
    return compile(source, name, "exec", flags=__future__.annotations.compiler_flag, dont_inherit=True)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture
def tidy_host() -> Iterator[None]:
    """Unregister what an executed block registers."""
    before = set(host().manager.get_plugins())
    yield
    for plugin in host().manager.get_plugins() - before:
        host().manager.unregister(plugin)


def test_there_are_documents() -> None:
    assert {named(path) for path in DOCUMENTS} >= {"docs/hooks.md", "docs/reference.md", "docs/schedulers.md"}
    assert [len(blocks(path.read_text(encoding="utf-8"), "python")) > 5 for path in EXECUTED] == [True, True]


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_python_blocks_compile_and_their_imports_exist(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # some hosts write into the working directory when they are imported
    for block in blocks(document.read_text(encoding="utf-8"), "python"):
        code_of(block, document.name)
        for node in ast.walk(ast.parse(block)):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                modules = [node.module]
            for name in modules:
                module = imported(name)
                if module is None or not isinstance(node, ast.ImportFrom):
                    continue
                for alias in node.names:
                    assert hasattr(module, alias.name) or imported(f"{name}.{alias.name}"), f"{name}.{alias.name}"


def imported(name: str) -> Any:
    """A module; None where it needs a host that this environment does not have."""
    try:
        return importlib.import_module(name)
    except HostError:
        return None
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] in OPTIONAL:
            return None
        raise


@pytest.mark.parametrize("document", EXECUTED, ids=named)
def test_python_blocks_run_one_after_another(document: Path, tidy_host: None) -> None:
    namespace: dict[str, Any] = {"__name__": "document"}
    for block in blocks(document.read_text(encoding="utf-8"), "python"):
        exec(code_of(block, document.name), namespace)
    assert "minidisc_register_schedulers" in namespace


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_relative_links_lead_somewhere(document: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target and not target.startswith(("#", "mailto:")):
            assert (document.parent / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_config_keys_exist(document: Path) -> None:
    """Of each YAML block that is a config or a part of one."""
    known = set(settings_of(CompressionConfig))
    for block in blocks(document.read_text(encoding="utf-8"), "yaml"):
        data = yaml.safe_load(block)
        if isinstance(data, dict) and known & set(data):
            assert set(data) <= known, set(data) - known
            for key, value in data.items():
                section = CompressionConfig.model_fields[key].annotation
                if isinstance(value, dict) and hasattr(section, "model_fields"):
                    if own := value.pop(value.get("objective", ""), None):
                        kinds = {kind.name: kind.own_settings for kind in minidisc_register_objectives()}
                        assert set(own) <= set(settings_of(kinds[value["objective"]])), own
                    assert set(value) <= set(settings_of(section)), f"{key}: {set(value)}"


def test_the_walk_through_the_example_quotes_its_files() -> None:
    text = (ROOT / "docs" / "schedulers.md").read_text(encoding="utf-8")
    module = (EXAMPLE / "geometric_scheduler.py").read_text(encoding="utf-8")
    quoted = re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    *excerpts, last = quoted
    assert "choose(" in last  # arithmetic of its own, which the example does not need
    place = module.index('"""\n') + len('"""\n')
    for excerpt in excerpts:
        assert excerpt.strip() in module
        between = module[place : module.index(excerpt.strip())]
        assert not between.strip(), f"left out: {between}"
        place += len(between) + len(excerpt.strip())
    assert not module[place:].strip()
    (toml,) = blocks(text, "toml")
    assert toml.strip() in (EXAMPLE / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", [Scheduler, Workbench, Schedule], ids=lambda kind: kind.__name__)
def test_every_public_member_of_the_protocol_is_documented(kind: type) -> None:
    """Methods with the arguments that they take, and attributes."""
    text = (ROOT / "docs" / "schedulers.md").read_text(encoding="utf-8")
    protocol = text.partition("## The protocol")[2]
    inherited = set(dir(Scheduler.__mro__[1])) if kind is Scheduler else set()
    for name, member in vars(kind).items():
        if name.startswith("_") or name in inherited or name == "model_config":
            continue
        if inspect.isfunction(member):
            arguments = [parameter for parameter in inspect.signature(member).parameters if parameter != "self"]
            shown = re.search(rf"`{name}\((.*?)\)`", protocol)
            assert shown is not None, name
            if "..." not in shown[1]:
                assert shown[1] == ", ".join(arguments), name
        else:
            assert f"`{name}`" in protocol, name
    for name in kind.__annotations__:
        assert f"`{name}`" in protocol or name == "model_config", name
