"""Training stages that draw from more examples than are labelled: as many steps, other examples in each epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerFast, TrainerCallback

from minidisc_plugin import NestedModel
from minidisc_plugin.contracts.config import EngineConfig
from minidisc_plugin.contracts.presets import engine_of
from minidisc_plugin.integrations.hosts import available
from minidisc_plugin.metrics import build_compute_metrics
from minidisc_plugin.schedulers.direct import Direct
from minidisc_plugin.schedulers.fixed import Fixed
from minidisc_plugin.schedulers.maxidisc import MaxiDisc
from minidisc_plugin.schedulers.means import Data, Score, Training
from minidisc_plugin.schedulers.minidisc import MiniDisc
from minidisc_plugin.schedulers.workbench import Workbench
from minidisc_plugin.tasks.text_classification import TextClassification
from minidisc_plugin.training.arguments import training_arguments
from minidisc_plugin.training.teacher_store import reads_cache
from tests.builders.tiny import make_bert
from tests.training.making import OBJECTIVE

LABELLED = 12
SCHEDULERS = {
    "direct": Direct(target_sparsity=0.7),
    "fixed": Fixed(target_sparsity=0.7, scale=0.5),
    "minidisc": MiniDisc(target_sparsity=0.7, candidates=[0.6, 0.5]),
    "maxidisc": MaxiDisc(target_sparsity=0.7, candidates=[0.5]),
}


class Steps(TrainerCallback):  # type: ignore[misc]
    """Notes the steps of every stage that ends."""

    ended: list[tuple[int, float]] = []  # noqa: RUF012

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.ended.append((state.global_step, state.epoch))


class Seen:
    """A collator that notes by length which examples are trained on."""

    def __init__(self, collator: Any) -> None:
        self.collator = collator
        self.texts: list[tuple[int, ...]] = []

    def __call__(self, rows: list[Any]) -> Any:
        self.texts += [tuple(row["input_ids"]) for row in rows]
        return self.collator(rows)

    def __deepcopy__(self, memo: Any) -> Seen:
        return self


def bench_of(
    dataset: Dataset, tokenizer: PreTrainedTokenizerFast, folder: Path, distiller: Any = None, **data: Any
) -> Workbench:
    args = training_arguments(
        {"per_device_train_batch_size": 4, "num_train_epochs": 3, "seed": 3, "disable_tqdm": True, "use_cpu": True},
        folder,
    )
    engine = engine_of(EngineConfig(teacher_cache=False), "fast")
    return Workbench(
        make_bert(labels=2, seed=7),
        NestedModel,
        TextClassification(),
        Data(dataset.select(range(LABELLED)), dataset.select(range(36, 48)), processor=tokenizer, **data),
        Score("accuracy", build_compute_metrics("accuracy", regression=False)),
        Training(args, OBJECTIVE, engine, [Steps()], distiller),
    )


@pytest.mark.parametrize(
    "name", ["minidisc", *(pytest.param(name, marks=pytest.mark.slow) for name in ("direct", "fixed", "maxidisc"))]
)
def test_every_stage_of_every_scheduler_takes_as_many_steps(
    name: str, dataset: Dataset, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    steps = []
    for folder, data in (("alone", {}), ("further", {"further": dataset.select(range(LABELLED, 36))})):
        Steps.ended = []
        bench = bench_of(dataset, tokenizer, tmp_path / folder, **data)
        schedule = SCHEDULERS[name].run(bench)
        if not schedule.distilled:
            bench.distil(schedule.student, schedule.assistant or bench.teacher, "student")
        steps.append(list(Steps.ended))
    assert steps[0] == steps[1] and steps[0]
    assert set(steps[0]) == {(9, 3.0)}


@pytest.mark.parametrize(
    "trainer",
    ["transformers", pytest.param("inc", marks=pytest.mark.skipif(not available("host", "inc"), reason="no inc"))],
)
def test_epochs_differ_and_reach_beyond_what_is_labelled(
    trainer: str, dataset: Dataset, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    from transformers import DataCollatorWithPadding

    from minidisc_plugin.run.trainer_choice import distiller_of

    texts = [tuple(ids) for ids in dataset["input_ids"]]
    seen = Seen(DataCollatorWithPadding(tokenizer))
    further = dataset.select(range(LABELLED, 36))
    bench = bench_of(dataset, tokenizer, tmp_path, distiller_of(trainer), further=further, collator=seen)
    bench.distil(make_bert(labels=2, seed=7), bench.teacher, "student")
    epochs = [{texts.index(text) for text in seen.texts[start : start + LABELLED]} for start in (0, 12, 24)]
    assert len(seen.texts) == 3 * LABELLED
    assert len(set(map(frozenset, epochs))) == 3
    assert all(epoch <= set(range(36)) for epoch in epochs)
    assert len(set().union(*epochs) - set(range(LABELLED))) > 6


def test_labels_of_further_examples_change_nothing(
    dataset: Dataset, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    further = dataset.select(range(LABELLED, 36))
    others = further.remove_columns("labels").add_column("labels", [1 - label for label in further["labels"]])
    students = []
    for name, part in (("one", further), ("other", others.select_columns(further.column_names))):
        bench = bench_of(dataset, tokenizer, tmp_path / name, further=part)
        students.append(SCHEDULERS["minidisc"].run(bench).student.state_dict())
    assert all(torch.equal(value, students[1][name]) for name, value in students[0].items())


@pytest.mark.parametrize(
    ("epochs", "in_all", "expected"), [(1, 100, False), (2, 100, True), (2, 200, False), (2.5, 200, True)]
)
def test_outputs_are_kept_where_a_stage_takes_more_examples_than_there_are(
    epochs: float, in_all: int, expected: bool, tmp_path: Path
) -> None:
    args = training_arguments({"num_train_epochs": epochs, "use_cpu": True}, tmp_path)
    assert reads_cache("auto", args, 100, in_all) is expected
    steps = training_arguments(
        {"max_steps": int(epochs * 10), "per_device_train_batch_size": 10, "use_cpu": True}, tmp_path
    )
    assert reads_cache("auto", steps, 100, in_all) is expected
