"""Every hook: what it promises, what a plug-in that uses it brings about, and how it is documented.

The plug-ins that add something are the examples of `docs/hooks.md`, as they stand there.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, RemBertConfig, RemBertForSequenceClassification

from minidisc_plugin import CompressionConfig, NestedModel, compress, hookimpl, load
from minidisc_plugin.contracts import hookspecs
from minidisc_plugin.contracts.records import Candidate
from minidisc_plugin.contracts.scheduler import Schedule
from minidisc_plugin.foundation.errors import ConfigError, UnsupportedModelError
from minidisc_plugin.nested.family import family_of
from minidisc_plugin.plugins import families, host
from minidisc_plugin.plugins.schedulers import make_scheduler
from minidisc_plugin.run.pipeline import Result
from minidisc_plugin.run.preparation import prepare
from minidisc_plugin.run.workbench import workbench_of
from tests.builders.tiny import make_batch, make_config
from tests.repository.test_docs import ROOT, blocks, code_of, sections

HOOKS: dict[str, Callable[..., Any]] = {
    name: function for name, function in vars(hookspecs).items() if name.startswith("minidisc_")
}
DOCUMENT = sections((ROOT / "docs" / "hooks.md").read_text(encoding="utf-8"))


@contextmanager
def registered(*plugins: object) -> Iterator[None]:
    """Plug-ins that the host knows inside of the block."""
    for plugin in plugins:
        host().manager.register(plugin)
    try:
        yield
    finally:
        for plugin in plugins:
            host().manager.unregister(plugin)


def example(hook: str, place: int = 0) -> ModuleType:
    """An example that the document gives for a hook, the first unless told, as a module."""
    _signature, *sources = blocks(DOCUMENT[hook], "python")
    module = ModuleType(f"example_of_{hook}")
    exec(code_of(sources[place], hook), vars(module))
    return module


def config_of(folder: Path, **changes: Any) -> CompressionConfig:
    return CompressionConfig.model_validate(make_config(folder, **changes))


class Listener:
    """Hears every event, in order, and brings the documented objective, whose losses it keeps."""

    result: Result  # of the run that it heard

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.checkpoints: dict[str, int] = {}

    @hookimpl
    def minidisc_register_objectives(self) -> list[type]:
        losses = self.losses
        (objective,) = example("minidisc_register_objectives").minidisc_register_objectives()

        class Counted(objective):  # type: ignore[misc,valid-type]
            def __call__(self, student: Any, teacher: Any, batch: Any) -> torch.Tensor:
                assert student.hidden_states is None and len(batch["labels"]) == len(student.logits)
                loss = super().__call__(student, teacher, batch)
                assert loss.requires_grad and not teacher.logits.requires_grad
                losses.append(loss.item())
                return loss

        return [Counted]

    @hookimpl
    def minidisc_candidates_specified(self, scheduler: str, candidates: list[Candidate]) -> None:
        self.heard.append(("specified", {"scheduler": scheduler, "candidates": candidates}))

    @hookimpl
    def minidisc_candidate_evaluated(self, scheduler: str, candidate: Candidate) -> None:
        self.heard.append(("evaluated", {"scheduler": scheduler, "candidate": candidate}))

    @hookimpl
    def minidisc_assistant_selected(self, scheduler: str, assistants: list[Candidate]) -> None:
        self.heard.append(("selected", {"scheduler": scheduler, "assistants": assistants}))

    @hookimpl
    def minidisc_stage_finished(self, stage: str, seconds: float, output_dir: Path) -> None:
        self.heard.append(("finished", {"stage": stage, "seconds": seconds, "output_dir": output_dir}))
        self.checkpoints[stage] = len(list(output_dir.glob(f"{stage}/checkpoint-*")))

    def of(self, event: str) -> list[dict[str, Any]]:
        return [arguments for name, arguments in self.heard if name == event]


@pytest.fixture(scope="module")
def heard(run_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Listener:
    """One run of minidisc with an objective and a step of plug-ins."""
    listener = Listener()
    changes = {"distillation": {"objective": "logits"}, "steps": ["save_half"]}
    config = config_of(run_files, output_dir=str(tmp_path_factory.mktemp("hooks") / "out"), **changes)
    with registered(listener, example("minidisc_register_steps")):
        listener.result = compress(config)
    return listener


def scheduled(config: CompressionConfig, folder: Path) -> Schedule:
    """What the scheduler of a config decides; nothing is reported."""
    prepared = prepare(config, folder)
    return prepared.scheduler.run(workbench_of(prepared))


@pytest.mark.parametrize("hook", HOOKS)
def test_docstring_is_one_imperative_sentence(hook: str) -> None:
    docstring = HOOKS[hook].__doc__
    assert docstring is not None
    assert "\n" not in docstring and docstring.endswith(".")
    verb = docstring.split()[0]
    assert verb == verb.capitalize() and not verb.endswith(("s", "ed", "ing"))


@pytest.mark.parametrize("hook", HOOKS)
def test_documented_with_its_exact_signature(hook: str) -> None:
    (signature, *_) = blocks(DOCUMENT[hook], "python")
    wanted = str(inspect.signature(HOOKS[hook])).replace("'", "")
    assert signature == f"def {hook}{wanted}: ...\n"


def test_every_hook_is_documented_and_tested_and_no_other() -> None:
    assert list(DOCUMENT) == list(HOOKS)
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_minidisc_")}
    assert tested == set(HOOKS)


def test_minidisc_register_schedulers(run_files: Path, tmp_path: Path) -> None:
    config = config_of(run_files, scheduler="midway")
    with pytest.raises(ConfigError, match="'midway' is not known"):
        make_scheduler(config.scheduler, config.scheduler_config, config.pruning.target_sparsity)
    with registered(example("minidisc_register_schedulers")):
        schedule = scheduled(config, tmp_path)
    assert schedule.record.scheduler == "midway"
    assert schedule.record.assistants == [0.6]  # half-way between 0.2 and 1
    with pytest.raises(ConfigError, match="'midway' is not known"):
        make_scheduler(config.scheduler, config.scheduler_config, config.pruning.target_sparsity)


def test_minidisc_register_families(tmp_path: Path) -> None:
    settings = {"vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64}
    settings |= {"input_embedding_size": 16, "num_attention_heads": 4, "num_labels": 3}
    torch.manual_seed(0)
    model = RemBertForSequenceClassification(RemBertConfig(**settings)).eval()
    with pytest.raises(UnsupportedModelError, match="'rembert' is not supported"):
        family_of(model.config, families())
    batch = make_batch()
    with registered(example("minidisc_register_families")):
        nested = NestedModel(model)
        nested.rank([batch])
        nested.set_scale(0.5)
        with torch.no_grad():
            expected = nested.model(**batch).logits
        nested.extract(0.5).save_pretrained(tmp_path)
        small = load(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(small(**batch).logits, expected, atol=1e-5, rtol=0)
        whole = AutoModelForSequenceClassification.from_pretrained(tmp_path, trust_remote_code=True).eval()
        torch.testing.assert_close(whole(**batch).logits, expected, atol=1e-5, rtol=0)
    assert small.num_parameters() < model.num_parameters()
    with pytest.raises(UnsupportedModelError):
        family_of(model.config, families())


def test_minidisc_register_objectives(heard: Listener, run_files: Path, tmp_path: Path) -> None:
    # 216 examples to train on in batches of 24: nine steps of three scales each, and nine of the student.
    assert len(heard.losses) == 1 + 9 * 2 + 9  # rehearsed; two of three scales a step, then the student
    config = config_of(run_files, distillation={"objective": "logits"})
    with pytest.raises(ConfigError, match=r"distillation\.objective: 'logits' is not known"):
        prepare(config, tmp_path)
    with registered(example("minidisc_register_objectives")):
        assert prepare(config, tmp_path).config.distillation.objective == "logits"


@pytest.mark.parametrize("cache", [False, True])
def test_an_objective_that_uses_all_of_the_contract(cache: bool, run_files: Path, tmp_path: Path) -> None:
    module = example("minidisc_register_objectives", 1)
    seen: list[torch.Tensor] = []
    called = module.Mapped.__call__

    def noting(self: Any, student: Any, teacher: Any, batch: Any) -> torch.Tensor:
        loss: torch.Tensor = called(self, student, teacher, batch)
        largest = teacher.logits.softmax(-1).amax(-1)
        torch.testing.assert_close(batch["sureness"], largest, rtol=1e-3, atol=1e-4)
        seen.append(self.network.seen.clone())
        return loss

    module.Mapped.__call__ = noting
    settings = {"objective": "mapped", "mapped": {"smoothness": 0.2}}
    changes = {"scheduler": "direct", "engine": {"teacher_cache": cache}, "trainer": "transformers"}
    config = config_of(run_files, output_dir=str(tmp_path / "out"), distillation=settings, **changes)
    with registered(module):
        result = compress(config)
    assert "student-objective" in result.schedule.seconds
    assert not any("objective" in name for name in result.student.state_dict())
    assert seen[-1].sum() == len(seen[-1]) > 100  # each example once, in one epoch
    with registered(module), pytest.raises(ConfigError, match=r"distillation.mapped.smoothness: -1.0 cannot be used"):
        prepare(config_of(run_files, distillation={**settings, "mapped": {"smoothness": -1.0}}), tmp_path)


def test_an_objective_that_reads_domains_and_attention(run_files: Path, tmp_path: Path) -> None:
    module = example("minidisc_register_objectives", 2)
    seen: list[torch.Tensor] = []
    called = module.Worst.__call__

    def noting(self: Any, student: Any, teacher: Any, batch: Any) -> torch.Tensor:
        seen.append(batch["domain"].bincount())
        assert len(student.attentions) == len(teacher.attentions) == 2
        loss: torch.Tensor = called(self, student, teacher, batch)
        return loss

    module.Worst.__call__ = noting
    data = config_of(run_files).dataset.model_dump() | {"domain": "label"}
    changes = {
        "scheduler": "direct",
        "trainer": "transformers",
        "dataset": data,
        "distillation": {"objective": "worst"},
    }
    config = config_of(run_files, output_dir=str(tmp_path / "out"), **changes)
    with registered(module):
        assert compress(config).results.row("student") is not None
    batches = seen[-4:]  # those of training
    assert all(found.tolist() == [12, 12] for found in batches)


def test_minidisc_register_steps(heard: Listener, run_files: Path, tmp_path: Path) -> None:
    results, root = heard.result.results, heard.result.output_dir
    student, half = results.row("student"), next(row for row in results.rows if row.runtime == "torch bf16")
    assert student is not None and half.role == "student"
    assert (half.path, half.scale, half.parameters) == ("student-bf16", 0.2, student.parameters)
    assert half.metric is not None and half.throughput_batch32 is not None and half.latency_ms_batch1 is not None
    assert half.bytes_on_disk is not None and student.bytes_on_disk is not None
    assert 0.4 < half.bytes_on_disk / student.bytes_on_disk < 0.65
    saved = load(root / "student-bf16", torch_dtype=torch.bfloat16).state_dict()
    for name, value in load(root / "student").state_dict().items():
        torch.testing.assert_close(saved[name].float(), value.bfloat16().float(), msg=name)
    with pytest.raises(ConfigError, match="steps: 'save_half' is not known"):
        prepare(config_of(run_files, steps=["save_half"]), tmp_path)


def test_a_step_may_refuse_a_config(run_files: Path, tmp_path: Path) -> None:
    module = example("minidisc_register_steps")

    class Refuses(module.SaveHalf):  # type: ignore[name-defined,misc]
        def check(self, config: CompressionConfig) -> None:
            raise ConfigError(f"max_length: {config.max_length} does not suit save_half")

    class Plugin:
        @hookimpl
        def minidisc_register_steps(self) -> list[type]:
            return [Refuses]

    listener = Listener()
    config = config_of(run_files, output_dir=str(tmp_path / "out"), steps=["save_half"])
    with registered(Plugin(), listener), pytest.raises(ConfigError, match="does not suit save_half"):
        compress(config)
    assert listener.heard == [] and not (tmp_path / "out").exists()


def test_the_events_of_a_run_come_in_order(heard: Listener) -> None:
    told = [arguments.get("stage", event) for event, arguments in heard.heard]
    order = "importance specified sandwich selection evaluated evaluated selected student report"
    assert told == order.split()
    others = [arguments for event, arguments in heard.heard if event != "finished"]
    assert {arguments["scheduler"] for arguments in others} == {"minidisc"}


def test_minidisc_candidates_specified(heard: Listener) -> None:
    (arguments,) = heard.of("specified")
    candidates = arguments["candidates"]
    assert [candidate.scale for candidate in candidates] == [0.6, 0.4]
    for candidate, recorded in zip(candidates, heard.result.schedule.candidates, strict=True):
        assert candidate.metric is None and candidate.tradeoff is None and not candidate.selected
        assert candidate.heads == recorded.heads and candidate.parameters == recorded.parameters


def test_minidisc_candidate_evaluated(heard: Listener) -> None:
    candidates = [arguments["candidate"] for arguments in heard.of("evaluated")]
    assert [candidate.scale for candidate in candidates] == [0.6, 0.4]
    assert [candidate.raw_metric for candidate in candidates] == [
        c.raw_metric for c in heard.result.schedule.candidates
    ]
    assert all(candidate.metric == candidate.raw_metric for candidate in candidates)  # accuracy is in [0, 1] already


def test_minidisc_assistant_selected(heard: Listener, run_files: Path, tmp_path: Path) -> None:
    (arguments,) = heard.of("selected")
    assert arguments["assistants"] == [c for c in heard.result.schedule.candidates if c.selected]
    assert [candidate.scale for candidate in arguments["assistants"]] == heard.result.schedule.assistants
    direct = Listener()
    with registered(direct):
        scheduled(config_of(run_files, scheduler="direct"), tmp_path)
    assert direct.of("selected") == [{"scheduler": "direct", "assistants": []}]
    assert direct.of("specified") == []


def test_minidisc_stage_finished(heard: Listener) -> None:
    finished = heard.of("finished")
    assert {arguments["stage"]: arguments["seconds"] for arguments in finished} == heard.result.results.seconds
    assert all(arguments["seconds"] > 0 for arguments in finished)
    assert {arguments["output_dir"] for arguments in finished} == {heard.result.output_dir / "checkpoints"}
    assert heard.checkpoints == {"importance": 0, "sandwich": 1, "selection": 0, "student": 1, "report": 0}


@pytest.mark.parametrize("hook", [name for name in HOOKS if "register" not in name])
def test_the_examples_of_events_print_what_they_hear(
    hook: str, heard: Listener, capsys: pytest.CaptureFixture[str]
) -> None:
    """The example hears what the run told; a plug-in takes those arguments only that it needs."""
    event = hook.rpartition("_")[2]
    with registered(example(hook)):
        for arguments in heard.of(event):
            getattr(host().manager.hook, hook)(**arguments)
    printed = capsys.readouterr().out.splitlines()
    candidates = heard.result.schedule.candidates
    expected = {
        "specified": ["minidisc tries 0.6, 0.4"],
        "evaluated": [f"scale {candidate.scale:g}: {candidate.raw_metric:.3f}" for candidate in candidates],
        "selected": [f"minidisc chose {heard.result.schedule.assistants}"],
        # Checkpoints are dropped once the run is over.
        "finished": [
            f"{name} took {seconds:.1f} s; checkpoints: 0" for name, seconds in heard.result.results.seconds.items()
        ],
    }
    assert printed == expected[event]
