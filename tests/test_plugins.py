"""Entry points: the built-in schedulers come through them, and a broken one never stops the others."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from minidisc_plugin import CompressionConfig
from minidisc_plugin.errors import ConfigError, PluginError
from minidisc_plugin.plugins import ENTRY_POINT_GROUP, FoundPlugin, PluginHost, host
from minidisc_plugin.preparation import make_scheduler
from tests.tiny import make_config

BUILT_IN = ("direct", "fixed", "maxidisc", "minidisc")
SCHEDULER = """
from minidisc_plugin import hookimpl
from minidisc_plugin.schedulers.direct import Direct


class Other(Direct):
    name = "{name}"


@hookimpl
def minidisc_register_schedulers():
    return [Other]
"""


class Site:
    """A folder on `sys.path` to which distributions are installed; each has one entry point and one module."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.modules: list[str] = []

    def install(self, distribution: str, entry_point: str, source: str, version: str = "1.2") -> None:
        module = distribution.replace("-", "_")
        self.modules.append(module)
        (self.folder / f"{module}.py").write_text(source, encoding="utf-8")
        info = self.folder / f"{module}-{version}.dist-info"
        info.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        (info / "METADATA").write_text(metadata, encoding="utf-8")
        entry_points = f"[{ENTRY_POINT_GROUP}]\n{entry_point} = {module}\n"
        (info / "entry_points.txt").write_text(entry_points, encoding="utf-8")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """An empty folder that is searched for distributions; what was imported from it is forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    site = Site(tmp_path)
    yield site
    for module in site.modules:
        sys.modules.pop(module, None)


@pytest.fixture
def fresh_host() -> Iterator[None]:
    """The process's own host looks for entry points again, and once more afterwards."""
    host.cache_clear()
    yield
    host.cache_clear()


def found(plugins: PluginHost) -> dict[str, FoundPlugin]:
    return {plugin.name: plugin for plugin in plugins.found()}


def test_built_in_schedulers_are_found_by_entry_point() -> None:
    plugins = PluginHost()
    rows = found(plugins)
    for name in BUILT_IN:
        assert rows[name].schedulers == (name,)
        assert rows[name].distribution.startswith("minidisc-plugin ")
        assert rows[name].error is None
        assert plugins.schedulers()[name].name == name


def test_another_group_holds_none_of_them() -> None:
    assert PluginHost("optimum.compression.nothing").schedulers() == {}


def test_a_third_party_scheduler_is_found_with_its_distribution(site: Site) -> None:
    site.install("acme-schedulers", "acme", SCHEDULER.format(name="acme"))
    plugins = PluginHost()
    assert found(plugins)["acme"] == FoundPlugin("acme", "acme-schedulers 1.2", ("acme",), None)
    assert set(plugins.schedulers()) >= {"acme", *BUILT_IN}


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("raise RuntimeError('no such device\\nsecond line')", "RuntimeError: no such device"),
        ("import a_module_that_is_not_there", "ModuleNotFoundError: No module named 'a_module_that_is_not_there'"),
        ("def broken(:", "SyntaxError: "),
        (SCHEDULER.format(name="x").replace("return [Other]", "raise OSError('no licence')"), "OSError: no licence"),
        (SCHEDULER.format(name="x").replace("return [Other]", "return None"), "TypeError: "),
        (SCHEDULER.format(name="x").replace("[Other]", "['other']"), "minidisc_register_schedulers returned 'other'"),
        (
            SCHEDULER.format(name="x").replace("_schedulers()", "_sheduler()"),
            "PluginError: minidisc_register_sheduler ",
        ),
        (SCHEDULER.format(name="x").replace("_schedulers()", "_schedulers(more)"), "PluginValidationError: "),
    ],
    ids=["raises", "lacks", "syntax", "hook-raises", "hook-none", "hook-nonsense", "hook-misspelt", "hook-argument"],
)
def test_a_broken_plug_in_is_named_and_stops_no_other(source: str, error: str, site: Site) -> None:
    site.install("broken-schedulers", "broken", source)
    site.install("sound-schedulers", "sound", SCHEDULER.format(name="sound"))
    plugins = PluginHost()
    assert set(plugins.schedulers()) >= {"sound", *BUILT_IN}
    rows = found(plugins)
    assert rows["broken"].distribution == "broken-schedulers 1.2"
    assert rows["broken"].error is not None
    assert rows["broken"].error.startswith(error) and "\n" not in rows["broken"].error
    assert [name for name, row in rows.items() if row.error] == ["broken"]


def test_one_entry_point_name_of_two_distributions(site: Site) -> None:
    site.install("first-schedulers", "twice", SCHEDULER.format(name="first"))
    site.install("second-schedulers", "twice", SCHEDULER.format(name="second"), version="3.0")
    plugins = PluginHost()
    row = found(plugins)["twice"]
    assert row.schedulers == ()
    assert row.error is not None
    assert "first-schedulers 1.2" in row.error and "second-schedulers 3.0" in row.error
    assert not {"first", "second"} & set(plugins.schedulers())
    assert set(plugins.schedulers()) >= set(BUILT_IN)


def test_one_scheduler_name_of_two_distributions(site: Site) -> None:
    site.install("rival-schedulers", "rival", SCHEDULER.format(name="minidisc"))
    plugins = PluginHost()
    assert found(plugins)["rival"].schedulers == ("minidisc",)
    with pytest.raises(PluginError) as caught:
        plugins.schedulers()
    assert "'minidisc'" in str(caught.value)
    assert "rival-schedulers 1.2" in str(caught.value) and "minidisc-plugin 0" in str(caught.value)


def test_an_unknown_scheduler_lists_those_found(site: Site, fresh_host: None, tmp_path: Path) -> None:
    site.install("acme-schedulers", "acme", SCHEDULER.format(name="acme"))
    config = CompressionConfig.model_validate(make_config(tmp_path, scheduler="mindisc"))
    with pytest.raises(ConfigError) as caught:
        make_scheduler(config.scheduler, config.scheduler_config, config.pruning.target_sparsity)
    listed = str(caught.value).partition("; found: ")[2].split(", ")
    assert set(listed) >= {"acme", *BUILT_IN} and listed == sorted(listed)
    assert make_scheduler("acme", config.scheduler_config, 0.8).name == "acme"


def test_a_broken_scheduler_gives_its_import_error(site: Site, fresh_host: None, tmp_path: Path) -> None:
    site.install("broken-schedulers", "broken", "import a_module_that_is_not_there")
    config = CompressionConfig.model_validate(make_config(tmp_path, scheduler="broken"))
    with pytest.raises(ConfigError) as caught:
        make_scheduler(config.scheduler, config.scheduler_config, config.pruning.target_sparsity)
    assert str(caught.value).startswith("scheduler: 'broken' is not known; its plug-in could not be loaded")
    assert "No module named 'a_module_that_is_not_there'" in str(caught.value)
