"""Ways to one student, trained and judged in this process; what several of them share is trained once."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any, get_args

from benchmarks.judge import Judge
from minidisc_plugin.contracts.pruning import PruningConfig
from minidisc_plugin.contracts.rules import Rule
from minidisc_plugin.plugins.schedulers import decide_each
from minidisc_plugin.run.config.file import read_config
from minidisc_plugin.run.good_enough import distil, smallest_good_enough
from minidisc_plugin.run.preparation import prepare
from minidisc_plugin.run.workbench import workbench_of
from minidisc_plugin.schedulers.choosing import settle
from minidisc_plugin.schedulers.minidisc import MiniDisc
from minidisc_plugin.schedulers.stage import Stage
from minidisc_plugin.selection import TEACHER, Criterion
from minidisc_plugin.training.distil import DistillationTrainer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from minidisc_plugin.contracts.records import Candidate
    from minidisc_plugin.contracts.run import Prepared
    from minidisc_plugin.schedulers.workbench import Workbench

DIRECT = "direct"
SLICE = "the sandwich's own slice"
FOLLOWING_TEACHER = "the slice, following the teacher"
RULES: tuple[Rule, ...] = get_args(Rule)
# Of a candidate, in a record.
KEPT = {"scale", "parameters", "metric", "metric_interval", "log_loss", "gap", "tradeoff"}
# Nothing is decided by time, so that processes side by side measure what each would alone. All candidates are trained
# to the end, so that each can be followed.
SETTINGS = ("engine.half_precision=false", "engine.compile=false")
WHOLE = ("scheduler=minidisc", "scheduler_config.halving=false", "scheduler_config.include_teacher=true")


def longer(times: int) -> str:
    """Name of the direct way that trains so many times as long."""
    return f"direct, {times} times the epochs"


def following(scale: float) -> str:
    """Name of the way through an assistant."""
    return f"the slice, following assistant {scale:g}"


def following_both(scale: float) -> str:
    """Name of the way that follows teacher and assistant."""
    return f"the slice, following teacher and assistant {scale:g}"


def from_teacher(scale: float, both: bool) -> str:
    """Name of a way that starts from the teacher's slice, and has an assistant of the sandwich."""
    return f"the teacher's slice, following {'teacher and ' if both else ''}assistant {scale:g}"


def taught(config: Path, overrides: Sequence[str], scratch: Path) -> dict[str, Any]:
    """The student of one run: by its scheduler, objective and settings.

    Args:
        config: Of a classifier, with the splits `validation` and `test`.
        overrides: Keys of the config.
        scratch: An empty folder.
    """
    made = several(config, overrides, scratch)
    (student,) = made["students"].values()
    return {"teacher": made["teacher"], "seconds": made["seconds"], "judged": student["judged"]}


def several(config: Path, overrides: Sequence[str], scratch: Path) -> dict[str, Any]:
    """The students of one run, one after the other as `minidisc run` makes them; of several, or of one.

    Args:
        config: Of a classifier, with the splits `validation` and `test`.
        overrides: Keys of the config.
        scratch: An empty folder.
    """
    prepared = _prepared(config, overrides, scratch)
    judge, bench = Judge(prepared), workbench_of(prepared)
    found, wall, processor, begun = {}, 0.0, 0.0, (perf_counter(), process_time())
    choose = decide_each(prepared.students, bench)
    for scheduler in prepared.students:
        schedule = choose(scheduler)
        distil(schedule, bench.of(scheduler.target_scale))
        wall, processor = wall + perf_counter() - begun[0], processor + process_time() - begun[1]
        made = {"assistants": schedule.record.assistants, "judged": judge(schedule.student)}
        found[f"{scheduler.target_sparsity:g}"] = made
        begun = perf_counter(), process_time()
    seconds = {"seconds": round(wall, 3), "processor_seconds": round(processor, 3)}
    return {"teacher": judge.teacher, **seconds, "stages": bench.journal.seconds, "students": found}


def searched(config: Path, overrides: Sequence[str], losses: Sequence[float], scratch: Path) -> dict[str, Any]:
    """For each loss the smallest student that is good enough; what another loss made already is taken up.

    Args:
        config: Of a classifier, with the splits `validation` and `test`.
        overrides: Keys of the config, `pruning.max_loss` among them.
        losses: Of `pruning.max_loss`.
        scratch: An empty folder.
    """
    prepared = _prepared(config, overrides, scratch)
    judge, found, known = Judge(prepared), {}, {}
    for number, loss in enumerate(losses):
        bench = workbench_of(prepared, resume=number > 0)
        choose, pruning = decide_each(prepared.students, bench), PruningConfig(max_loss=loss)
        one = smallest_good_enough(prepared.students, bench, choose, pruning, prepared.splits.validation)
        scale = one.scheduler.target_scale
        known[scale] = known.get(scale) or judge(one.schedule.student)
        found[f"{loss:g}"] = {
            "scale": scale,
            "assistants": one.schedule.record.assistants,
            "search": one.budget.model_dump(mode="json")["search"],
            "judged": known[scale],
        }
    return {"teacher": judge.teacher, "judged_teacher": judge.judged_teacher, "students": found}


def crossed(config: Path, overrides: Sequence[str], times: int, scratch: Path) -> dict[str, Any]:
    """One sandwich, and the students of every start and guide; each stage is as long, but one that is `longer`.

    Args:
        config: Of a classifier, with the splits `validation` and `test`.
        overrides: Keys of the config.
        times: How many times as long the longer direct way trains.
        scratch: An empty folder.
    """
    prepared = _prepared(config, [*overrides, *WHOLE], scratch)
    cross = _Cross(prepared, scratch)
    cross.direct(DIRECT, prepared.args.num_train_epochs)
    cross.direct(longer(times), times * prepared.args.num_train_epochs)
    cross.through_assistants()
    return {
        "teacher": cross.judge.teacher,
        "candidates": cross.candidates,
        "choices": cross.choices,
        "students": cross.students,
    }


def choices(candidates: Sequence[Candidate], target: float) -> dict[str, dict[str, float]]:
    """What each rule chooses, and in which share of the draws of the selection split it would have.

    Args:
        candidates: Evaluated, the teacher among them.
        target: The student's scale.

    Returns:
        By rule, `scale` and `share`; 1 is the teacher.
    """
    found = {}
    for rule in RULES:
        # As published, the teacher is no candidate.
        racing = [one for one in candidates if one.scale != TEACHER or rule != "lambda"]
        settled = settle(racing, Criterion(rule), target, 1)
        chosen = next(one for one in settled if one.selected)
        found[rule] = {"scale": chosen.scale, "share": chosen.chosen_in or 0.0}
    return found


class _Cross:
    """Students of one run, by way: what each is and what it took, the sandwich included where it has one."""

    def __init__(self, prepared: Prepared, scratch: Path) -> None:
        assert isinstance(prepared.scheduler, MiniDisc)
        self.prepared, self.scheduler = prepared, prepared.scheduler
        self.folder = scratch / "stages"
        self.judge = Judge(prepared)
        self.students: dict[str, dict[str, Any]] = {}
        self.candidates: list[dict[str, Any]] = []
        self.choices: dict[str, dict[str, float]] = {}

    def direct(self, way: str, epochs: float) -> None:
        """The teacher's own slice, distilled from it."""
        bench, begun = self._bench(way, epochs), perf_counter()
        student = bench.ranked_network().extract(self.scheduler.target_scale)
        bench.distil(student, bench.teacher, "student")
        self._keep(way, student, perf_counter() - begun)

    def through_assistants(self) -> None:
        """All ways that need a sandwich."""
        bench, begun = self._bench("minidisc", self.prepared.args.num_train_epochs), perf_counter()
        trained = self.scheduler.train(bench)
        found = self.scheduler.choose(bench, trained).record.candidates
        sandwich = perf_counter() - begun
        self.candidates = [one.model_dump(include=KEPT) for one in found]
        self.choices = choices(found, self.scheduler.target_scale)
        chosen = {choice["scale"] for choice in self.choices.values()}
        target, teacher = self.scheduler.target_scale, bench.teacher
        self._keep(SLICE, trained.nested.extract(target), sandwich)

        def follow(way: str, start: PreTrainedModel, leader: Any, beside: Any = None) -> None:
            begun = perf_counter()
            stage = f"student-{len(self.students)}"
            bench.stages.run(Stage(stage, start, leader, DistillationTrainer, beside=beside))
            self._keep(way, start, sandwich + perf_counter() - begun)

        follow(FOLLOWING_TEACHER, trained.nested.extract(target), teacher)
        for scale in self.scheduler.candidate_scales():
            assistant = trained.nested.extract(scale)
            follow(following(scale), trained.nested.extract(target), assistant)
            if scale in chosen:
                follow(following_both(scale), trained.nested.extract(target), teacher, assistant)
            if scale == self.choices["lambda"]["scale"]:
                for both in (False, True):
                    start = copy.deepcopy(trained.untrained[target])
                    guides = (teacher, assistant) if both else (assistant, None)
                    follow(from_teacher(scale, both), start, *guides)

    def _bench(self, way: str, epochs: float) -> Workbench:
        args = copy.deepcopy(self.prepared.args)
        args.num_train_epochs = epochs
        args.output_dir = str(self.folder / way.replace(" ", "-"))
        return workbench_of(replace(self.prepared, args=args))

    def _keep(self, way: str, student: PreTrainedModel, seconds: float) -> None:
        self.students[way] = {"seconds": round(seconds, 3), "judged": self.judge(student)}


def _prepared(config: Path, overrides: Sequence[str], scratch: Path) -> Prepared:
    own = [f"output_dir={scratch / 'run'}", *SETTINGS]
    return prepare(read_config(str(config), [*overrides, *own]), scratch / "stages")
