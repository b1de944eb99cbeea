"""Entry points: the built-in schedulers come through them, and a broken one never stops the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from minidisc_plugin import CompressionConfig
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.nested.families import FAMILIES
from minidisc_plugin.objectives import MiniDiscObjective
from minidisc_plugin.plugins import FoundPlugin, PluginHost, host
from minidisc_plugin.plugins.schedulers import make_scheduler
from minidisc_plugin.run.steps.report import Report
from tests.builders.sites import BUILT_IN, SCHEDULER, Site, found
from tests.builders.tiny import make_config

RIVALS = {
    "schedulers": "from minidisc_plugin.schedulers.direct import Direct as Base",
    "objectives": "from minidisc_plugin.objectives import KnowledgeDistillation as Base",
    "steps": "from minidisc_plugin.run.steps.distil import Distil as Base",
}


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


def test_a_name_of_ours_stays_ours(site: Site) -> None:
    hook = "\n@hookimpl\ndef minidisc_register_{}():\n    return [{}]\n"
    for what, base in RIVALS.items():
        name = "report" if what == "steps" else "minidisc"
        source = f"from minidisc_plugin import hookimpl\n{base}\nclass Rival(Base): name = {name!r}"
        site.install(f"rival-{what}", f"rival-{what}", source + hook.format(what, "Rival"))
    source = (
        "import dataclasses\nfrom minidisc_plugin import hookimpl\nfrom minidisc_plugin.nested.families import FAMILIES"
    )
    site.install(
        "rival-families", "rival-families", source + hook.format("families", "dataclasses.replace(FAMILIES[0])")
    )
    plugins = PluginHost()
    assert plugins.schedulers()["minidisc"].__module__ == "minidisc_plugin.schedulers.minidisc"
    assert plugins.objectives()["minidisc"] is MiniDiscObjective and plugins.steps()["report"] is Report
    assert plugins.families()[FAMILIES[0].model_type] is FAMILIES[0]
    errors = {name: row.error for name, row in found(plugins).items() if row.error}
    assert sorted(errors) == sorted(f"rival-{what}" for what in (*RIVALS, "families"))
    for name, error in errors.items():
        assert f"by {name} 1.2" in error and "by minidisc-plugin" in error and "uninstall one" in error
        assert found(plugins)[name].schedulers == ()


def test_an_entry_point_name_of_ours_stays_ours(site: Site) -> None:
    site.install("rival-schedulers", "minidisc", SCHEDULER.format(name="rival"))
    plugins = PluginHost()
    assert "minidisc" in plugins.schedulers() and "rival" not in plugins.schedulers()
    ours, rival = (row for row in plugins.found() if row.name == "minidisc")
    assert ours.error is None and ours.schedulers == ("minidisc",)
    assert rival.error is not None and "minidisc-plugin 0" in rival.error and rival.distribution in rival.error


def test_one_scheduler_name_of_two_distributions_is_nobodys(site: Site, fresh_host: None) -> None:
    for owner in ("first", "second"):
        site.install(f"{owner}-schedulers", owner, SCHEDULER.format(name="contested"))
    assert "contested" not in host().schedulers() and set(host().schedulers()) >= set(BUILT_IN)
    with pytest.raises(ConfigError, match="scheduler: 'contested' is not known") as caught:
        make_scheduler("contested", {}, 0.8)
    assert "first-schedulers 1.2" in str(caught.value) and "second-schedulers 1.2" in str(caught.value)


def test_a_class_of_ours_that_another_module_imports_is_no_rival(site: Site) -> None:
    site.install(
        "reader", "reader", "from minidisc_plugin.schedulers.minidisc import MiniDisc, minidisc_register_schedulers\n"
    )
    site.install("lister", "lister", SCHEDULER.format(name="mine").replace("[Other]", "[Direct, Other]"))
    assert [row.name for row in PluginHost().found() if row.error] == []


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
