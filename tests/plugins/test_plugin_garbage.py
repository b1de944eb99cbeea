"""Plug-ins that raise whatever can be raised, or register what cannot be used: named, and in nobody's way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from minidisc_plugin.cli import main
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.plugins import PluginHost, host, pick
from tests.builders.sites import BUILT_IN, SCHEDULER, Site, found

# What code raises; the begin of the error.
RAISES = {
    "exit": ("raise SystemExit(0)", "SystemExit: 0"),
    "sys-exit": ("import sys; sys.exit()", "SystemExit"),
    "interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "generator": ("raise GeneratorExit", "GeneratorExit"),
    "stop": ("raise StopIteration", "StopIteration"),
    "memory": ("raise MemoryError", "MemoryError"),
    "recursion": ("def f(): f()\nf()", "RecursionError: "),
    "cancelled": ("import asyncio; raise asyncio.CancelledError", "CancelledError"),
    "group": ("raise BaseExceptionGroup('two', [SystemExit(), KeyboardInterrupt()])", "BaseExceptionGroup: two"),
    "silent": ("class Silent(Exception):\n  def __str__(self): raise OSError\nraise Silent", "Silent, whose message"),
    "leaving": (
        "class Leaving(Exception):\n  def __str__(self): raise SystemExit\nraise Leaving",
        "Leaving, whose mess",
    ),
    "long": ("raise OSError('x' * 10**6)", "OSError: xxxxx"),
    "coloured": ("raise OSError('\\x1b[31mred')", "OSError: \\x1b[31mred"),
    "secret": ("raise OSError('https://me:pass-word@host refused')", "OSError: https://***@host refused"),
}
NO_CODE = {
    "syntax": ("def broken(:", "SyntaxError: "),
    "indentation": ("def f():\n1", "IndentationError: "),
    "nul": ("\0", "SyntaxError: "),
    "gone": ("import a_module_that_is_not_there", "ModuleNotFoundError: "),
}
HOOK = "from minidisc_plugin import hookimpl\n@hookimpl\ndef minidisc_register_{what}():\n    {body}\n"
PREAMBLE = """
import itertools
from minidisc_plugin import hookimpl
from minidisc_plugin.contracts.distillation import DistillationConfig
from minidisc_plugin.nested.family import Family, Heads, Layout, Neurons
from minidisc_plugin.plugins import host
from minidisc_plugin.contracts.scheduler import Scheduler
from minidisc_plugin.schedulers.direct import Direct
from minidisc_plugin.contracts.run import Step
from minidisc_plugin.objectives import KnowledgeDistillation
from minidisc_plugin.contracts.objective import Objective
from pydantic import Field


class Plain:
    name = model_type = "plain"


class Refusing:
    def __getattribute__(self, name):
        raise SystemExit


def odd():
    class Meta(type):
        def __getattribute__(cls, name):
            raise KeyboardInterrupt

    return Meta("Odd", (), {})


class Mine(Step):
    name = "mine"

    def run(self, run):
        pass


heads = (Heads(at="layer.*", attention="a", inputs=("q",), output="o"),)
neurons = (Neurons(at="layer.*", output="o"),)
"""
KINDS = {"schedulers": "Scheduler", "families": "Family", "objectives": "Objective", "steps": "Step"}
# Of every hook: what it returns; a part of the error.
RETURNS = {
    "nothing": ("return None", "TypeError: "),
    "number": ("return 7", "TypeError: "),
    "text": ("return 'plain'", "returned 'p', which is no "),
    "none": ("return [None]", "returned None, which is no "),
    "class": ("return [Plain]", "returned Plain, which is no "),
    "object": ("return [Plain()]", "returned <"),
    "lambda": ("return [lambda: Plain]", "returned <function"),
    "refusing": ("return [Refusing()]", "SystemExit"),
    "odd": ("return [odd()]", "KeyboardInterrupt"),
    "half-way": ("yield Plain; raise OSError('half way')", "OSError: half way"),
    "endless": ("return itertools.count()", "returns more than 1000 things"),
}
# Of one hook: its name, what stands before it, what it returns, a part of the error.
PARTICULAR = [
    ("schedulers", "", "Direct(target_sparsity=.8)", "an object of Scheduler, not its class"),
    ("schedulers", "class A(Scheduler): name = 'a'", "A", "scheduler 'a' is abstract: it lacks candidate_scales, run"),
    ("schedulers", "", "Scheduler", "Scheduler, which has no 'name'"),
    ("schedulers", "class A(Scheduler): name: str = 'a'", "A", "A, which has no 'name'"),
    ("schedulers", "class A(Direct): name = ''", "A", "A, which has no 'name' that a config could hold: ''"),
    ("schedulers", "class A(Direct): name = 7", "A", "could hold: 7"),
    ("schedulers", "class A(Direct): name = '../x'", "A", "could hold: '../x'"),
    ("schedulers", "class A(Direct): name = 'a\\x1b[31m'", "A", "could hold: 'a\\x1b[31m'"),
    ("schedulers", "class A(Direct): name = 'a' * 101", "A", "A, which has no 'name'"),
    ("schedulers", "class A(Direct):\n  name = 'a'\n  target_sparsity: str = 'x'", "A", "the field 'target_sparsity'"),
    (
        "schedulers",
        "class A(Direct):\n  name = 'a'\n  allocation: int = 1",
        "A",
        "'a': it changes the field 'allocation'",
    ),
    (
        "schedulers",
        "class A(Direct):\n  name = 'a'\n  target_sparsity: float = Field(alias='sparsity')",
        "A",
        "scheduler 'a': it changes the field 'target_sparsity'",
    ),
    ("schedulers", "class A(Direct): name = 'a'\nA.run = None", "A", "scheduler 'a': run is no method"),
    ("families", "", "Family", "returned Family, which is no Family"),
    ("families", "", "Family(model_type=7, layouts=())", "could hold: 7"),
    ("families", "", "Family(model_type='', layouts=())", "could hold: ''"),
    ("families", "", "Family(model_type='a', layouts=())", "family 'a': it has no layout"),
    ("families", "", "Family(model_type='a', layouts=None)", "family 'a': it is not made of layouts"),
    ("families", "", "Family(model_type='a', layouts='xy')", "family 'a': it is not made of layouts"),
    ("families", "", "Family(model_type='a', layouts=(Layout(heads=(), neurons=neurons),))", "without heads"),
    (
        "families",
        "neurons = (Neurons(at=7, output='o'),)",
        "Family(model_type='a', layouts=(Layout(heads=heads, neurons=neurons),))",
        "family 'a': layouts.0.neurons.0.at: ",
    ),
    ("objectives", "", "KnowledgeDistillation(DistillationConfig(), regression=False)", "not its class"),
    ("objectives", "class A(Objective): name = 'a'", "A", "objective 'a' is abstract: it lacks __call__"),
    ("objectives", "class A(KnowledgeDistillation):\n  name = 'a'\n  needs_hidden_states = 1", "A", "states is 1, and"),
    (
        "objectives",
        "class A(KnowledgeDistillation):\n  name = 'a'\n  observes = 'x'",
        "A",
        "observes is 'x', and has to be",
    ),
    (
        "objectives",
        "class A(KnowledgeDistillation):\n  name = 'a'\n  tasks = ['x']",
        "A",
        "tasks is ['x'], and has to be",
    ),
    (
        "objectives",
        "class A(KnowledgeDistillation):\n  name = 'a'\n  own_settings = int",
        "A",
        "a subclass of Settings",
    ),
    ("steps", "", "Mine()", "an object of Step, not its class"),
    ("steps", "class A(Step): name = 'a'", "A", "step 'a' is abstract: it lacks run"),
    ("steps", "Mine.writes = ['a']", "Mine", "step 'mine': writes is ['a']"),
    ("steps", "class A(Mine):\n  name = 'a'\n  def run(self, run): yield", "A", "step 'a': run is a generator"),
    ("steps", "class A(Mine):\n  name = 'a'\n  async def check(self, config): ...", "A", "'a': check is async def"),
    ("schedulers", "class A(Direct):\n  name = 'a'\n  async def run(self, bench): yield", "A", "'a': run is async def"),
    (
        "objectives",
        "class A(Objective):\n  name = 'a'\n  def __call__(self, *outputs): yield",
        "A",
        "objective 'a': __call__ is a generator",
    ),
    ("steps", "Mine.writes = {'a': None}", "Mine", "step 'mine': writes says None of 'a'"),
]
OUTSIDE = ["../x", "/etc/x", "a/../../x", "", ".", "..", "a//b", ".hidden", "a\0b", "a\nb", "~", "\x1b[31m", "C:\\x", 7]
OWN = [
    *("student/", "Student", "assistant-2/", "run.json", "checkpoints/x", "config.resolved.yaml", "replacement/"),
    *("student-openvino/", "student-onnx/model.onnx", "README.md", "results.json"),
]
for names, reason in ((OUTSIDE, "which is no path inside the output directory"), (OWN, "minidisc-plugin's own")):
    PARTICULAR += [("steps", f"Mine.writes = {{{name!r}: 'x'}}", "Mine", reason) for name in names]


def error_of(site: Site, source: str) -> str:
    """The error of a plug-in with that source, beside a sound one; no other plug-in has one."""
    site.install("broken-schedulers", "broken", source)
    site.install("sound-schedulers", "sound", SCHEDULER.format(name="sound"))
    plugins = PluginHost()
    rows = found(plugins)
    assert [name for name, row in rows.items() if row.error] == ["broken"]
    assert set(plugins.schedulers()) == {"sound", *BUILT_IN} and "bert" in plugins.families()
    assert {"export", "report"} <= set(plugins.steps()) and "minidisc" in plugins.objectives()
    error = rows["broken"].error
    assert error is not None and error.isprintable() and len(error) < 600
    return error


@pytest.mark.parametrize("kind", [*RAISES, *NO_CODE])
def test_whatever_is_raised_at_import(kind: str, site: Site) -> None:
    source, error = {**RAISES, **NO_CODE}[kind]
    assert error_of(site, source).startswith(error)


@pytest.mark.parametrize("kind", RAISES)
def test_whatever_a_hook_raises(kind: str, site: Site) -> None:
    source, error = RAISES[kind]
    body = source.replace("\n", "\n    ")
    assert error_of(site, HOOK.format(what="schedulers", body=body)).startswith(error)


@pytest.mark.parametrize("kind", RETURNS)
@pytest.mark.parametrize("what", KINDS)
def test_whatever_a_hook_returns(what: str, kind: str, site: Site) -> None:
    result, error = RETURNS[kind]
    assert error in error_of(site, PREAMBLE + HOOK.format(what=what, body=result))


@pytest.mark.parametrize(("what", "code", "result", "error"), PARTICULAR, ids=range(len(PARTICULAR)))
def test_whatever_is_registered(what: str, code: str, result: str, error: str, site: Site) -> None:
    assert error in error_of(site, f"{PREAMBLE}\n{code}\n" + HOOK.format(what=what, body=f"return [{result}]"))


def test_a_wrapper_is_no_hook(site: Site) -> None:
    source = HOOK.format(what="steps", body="yield").replace("@hookimpl", "@hookimpl(wrapper=True)")
    assert "minidisc_register_steps is marked as a wrapper" in error_of(site, source)


def test_an_async_hook_is_none(site: Site) -> None:
    source = HOOK.format(what="steps", body="return []").replace("def ", "async def ")
    assert "minidisc_register_steps is async def" in error_of(site, source)


def test_of_several_things_the_sound_ones_are_taken(site: Site) -> None:
    code = "class A(Direct): name = 'a'\nclass B(Direct): name = 'b'"
    site.install("half", "half", f"{PREAMBLE}\n{code}\n" + HOOK.format(what="schedulers", body="return [A, None, B]"))
    plugins = PluginHost()
    row = found(plugins)["half"]
    assert row.schedulers == ("a", "b") and row.error == "minidisc_register_schedulers returned None, which is no " + (
        "subclass of Scheduler"
    )
    assert set(plugins.schedulers()) == {"a", "b", *BUILT_IN}


def test_a_config_that_names_what_cannot_be_used(site: Site, fresh_host: None) -> None:
    site.install("gone", "gone", "import a_module_that_is_not_there")
    body = "return [type('A', (Scheduler,), {'name': 'unfinished', '__module__': __name__})]"
    site.install("half", "half", PREAMBLE + HOOK.format(what="schedulers", body=body))
    for name, owner, reason in (("gone", "gone 1.2", "ModuleNotFoundError"), ("unfinished", "half 1.2", "is abstract")):
        with pytest.raises(ConfigError, match=rf"^scheduler: '{name}' is not known; its plug-in could") as caught:
            pick("scheduler", name, "scheduler")
        assert f"({owner}: " in str(caught.value) and reason in str(caught.value)
    with pytest.raises(
        ConfigError, match=r"^steps: 'x' is not known; plug-ins that could not be loaded: gone 1\.2: "
    ) as error:
        pick("step", "x", "steps")
    assert "found: distil, export" in str(error.value)


LOUD = [
    "print('printed')",
    "import sys; sys.stdout.write('printed\\n'); sys.stdout.close()",
    "import sys; sys.__stdout__.write('printed\\n'); sys.__stdout__.close()",
    "import os; os.write(1, b'printed\\n'); os.close(1)",
    "import os; os.dup2(os.open(os.devnull, os.O_WRONLY), 1)",
    "import sys; sys.stdout = None",
    "import sys; del sys.stdout",
    "import os; os.chdir('/')",
    "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(\"printed\")'])",
    "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)",
    "import sys; sys.__stderr__.close()",
    "import os; os.close(2)",
]


def test_the_process_is_left_as_it_was(site: Site) -> None:
    """Standard output holds what the command prints, and nothing else; a plug-in's goes to standard error."""
    for number, code in enumerate(LOUD):
        site.install(
            f"loud{number}", f"loud{number}", f"{code}\n" + HOOK.format(what="steps", body=f"{code}; return []")
        )
    script = (
        "import os, signal, sys\nhandler = signal.getsignal(signal.SIGINT)\n"
        "from minidisc_plugin.plugins import host\nhere = os.getcwd()\n"
        "assert not [row for row in host().found() if row.error]\n"
        "assert os.getcwd() == here and signal.getsignal(signal.SIGINT) is handler\n"
        "print('the report')\nprint('the end', file=sys.stderr)\nos.write(1, b'')\n"
    )
    path = os.pathsep.join([str(site.folder), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "the report\n"
    assert done.stderr.splitlines().count("printed") == 2 * sum("printed" in code for code in LOUD)
    assert done.stderr.endswith("the end\n")


def test_a_hook_that_asks_the_host_does_not_go_on_for_ever(site: Site, fresh_host: None) -> None:
    for name in ("one", "other"):
        body = "from minidisc_plugin.plugins import host; return host().schedulers().values()"
        site.install(name, name, HOOK.format(what="schedulers", body=body))
    assert set(host().schedulers()) == set(BUILT_IN)
    for name in ("one", "other"):
        assert "hooks may not ask the host" in str(found(host())[name].error)


def test_a_module_that_registers_more_as_it_is_imported(site: Site, fresh_host: None) -> None:
    code = "from minidisc_plugin.plugins import host\nclass More: pass\nhost().manager.register(More(), 'more')\n"
    site.install("eager", "eager", code + SCHEDULER.format(name="eager"))
    assert "eager" in host().schedulers() and host().manager.has_plugin("more")
    assert not [row for row in host().found() if row.error]


@pytest.mark.parametrize("code", ["{}", "try:\n  {}\nexcept BaseException:\n  pass"], ids=["let through", "swallowed"])
def test_a_users_interrupt_is_one(code: str, site: Site) -> None:
    """Ctrl-C while plug-ins are imported ends the command, whatever they make of it."""
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    site.install("slow", "slow", code.format("import os, signal; os.kill(os.getpid(), signal.SIGINT)"))
    try:
        with pytest.raises(KeyboardInterrupt):
            PluginHost()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_damaged_distributions_hide_none(site: Site) -> None:
    site.install("sound-schedulers", "sound", SCHEDULER.format(name="sound"))
    damaged = {
        "pairs": b"[optimum.compression.schedulers]\nno equals sign\n",
        "encoding": b"[optimum.compression.schedulers]\nx = \xff\xfe\n",  # whose it is nobody can tell
        "elsewhere": b"[another.group]\n\xff\n",
        "empty": b"[optimum.compression.schedulers]\nempty =\n",
        "nonsense": b"[optimum.compression.schedulers]\nnonsense = 1 2 3:::\n",
        "nothing": b"",
    }
    for name, content in damaged.items():
        info = site.folder / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "entry_points.txt").write_bytes(content)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (site.folder / "bare-1.0.dist-info").mkdir()
    (site.folder / "bare-1.0.dist-info" / "entry_points.txt").write_text(
        "[optimum.compression.schedulers]\nbare = bare\n", encoding="utf-8"
    )
    (site.folder / "bare.py").write_text(SCHEDULER.format(name="bare"), encoding="utf-8")
    site.modules.append("bare")
    plugins = PluginHost()
    errors = {row.distribution: row.error for row in plugins.found() if row.error}
    assert set(errors) == {"pairs 1.0", "empty 1.0", "nonsense 1.0"}
    assert set(plugins.schedulers()) == {"sound", "bare", *BUILT_IN}


def test_the_command_lists_them(site: Site, fresh_host: None, capsys: pytest.CaptureFixture[str]) -> None:
    site.install("leaver", "leaver", "print('\\x1b[31mbye'); raise SystemExit(0)")
    site.install("sound-schedulers", "sound", SCHEDULER.format(name="sound"))
    assert main(["plugins"]) == 1
    printed = capsys.readouterr()
    rows = [line.split() for line in printed.out.splitlines()]
    assert ["leaver", "leaver", "1.2", "SystemExit:", "0"] in rows
    assert ["sound", "sound", "sound-schedulers", "1.2"] in rows
    assert ["minidisc", "minidisc", "minidisc-plugin"] in [row[:3] for row in rows]
    assert "bye" not in printed.out
