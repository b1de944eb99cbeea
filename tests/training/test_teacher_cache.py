"""A teacher's cached outputs: the same training, made once, bounded on disk, read while others write."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import DataCollatorWithPadding, PreTrainedModel

from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.objectives.terms import compared_layers
from minidisc_plugin.tasks.registry import task_of_model
from minidisc_plugin.training.observing import Asked
from minidisc_plugin.training.teacher_cache import ROW, CacheWriter, TeacherCache
from minidisc_plugin.training.teacher_examples import Examples
from minidisc_plugin.training.teacher_store import TeacherStore
from tests.builders.tiny import make_bert
from tests.training.making import PLAIN_STEP, STILL, Bench, make_nested, make_teacher, weights

WIDE = 2.0**30


def make_cache(
    bench: Bench, folder: Path, teacher: Any = None, limit: float = WIDE, required: bool = True, states: bool = True
) -> TeacherCache | None:
    teacher = teacher or make_teacher()
    examples = Examples(bench.dataset, DataCollatorWithPadding(bench.tokenizer), 16, task_of_model(teacher))
    return TeacherStore(folder, limit).cache(
        teacher,
        examples,
        Asked(states, lambda count: compared_layers(count - 1)),
        required=required,
        quiet=True,
    )


def run_of(teacher: PreTrainedModel, batch: dict[str, torch.Tensor]) -> Any:
    with torch.no_grad():
        return teacher(**{k: v for k, v in batch.items() if k != "labels"}, output_hidden_states=True)


@pytest.mark.parametrize("side", ["right", "left"])
def test_what_is_read_is_what_the_teacher_says(bench: Bench, tmp_path: Path, side: str) -> None:
    cache = make_cache(bench, tmp_path)
    assert cache is not None and len(cache) == 48
    rows = [5, 47, 0, 11]
    bench.tokenizer.padding_side = side
    try:
        batch = dict(DataCollatorWithPadding(bench.tokenizer)([bench.dataset[row] for row in rows]))
    finally:
        bench.tokenizer.padding_side = "right"
    if side == "left":  # positions move with the padding, and so does what a teacher says
        plain = DataCollatorWithPadding(bench.tokenizer)([bench.dataset[row] for row in rows])
        expected, theirs = run_of(make_teacher(), dict(plain)), plain["attention_mask"].bool()
    else:
        expected, theirs = run_of(make_teacher(), batch), batch["attention_mask"].bool()
    mask = batch["attention_mask"].bool()
    found = cache.read(rows, batch["attention_mask"])
    torch.testing.assert_close(found.logits, expected.logits, atol=1e-6, rtol=1e-5)
    assert len(found.hidden_states) == len(expected.hidden_states)
    for mine, whole in zip(found.hidden_states, expected.hidden_states, strict=True):
        torch.testing.assert_close(mine[mask], whole[theirs], atol=5e-3, rtol=1e-3)
        assert not mine[~mask].any()


def test_as_many_classes_as_tokens_are_classes(bench: Bench, tmp_path: Path) -> None:
    teacher = make_bert(labels=len(bench.dataset[0]["input_ids"]))
    cache = make_cache(bench, tmp_path, teacher)
    assert cache is not None
    batch = dict(DataCollatorWithPadding(bench.tokenizer)([bench.dataset[row] for row in (0, 7)]))
    found = cache.read([0, 7], batch["attention_mask"])
    torch.testing.assert_close(found.logits, run_of(teacher, batch).logits, atol=1e-6, rtol=1e-5)


def test_only_compared_states_are_kept(bench: Bench, tmp_path: Path) -> None:
    cache = make_cache(bench, tmp_path, make_bert(labels=2, layers=12))
    assert cache is not None
    mask = torch.tensor([bench.dataset[0]["attention_mask"]])
    states = cache.read([0], mask).hidden_states
    assert [index for index, state in enumerate(states) if state is not None] == [0, 2, 4, 6, 8, 10, 12]
    tokens = sum(map(sum, bench.dataset["attention_mask"]))
    held = sum(file.stat().st_size for file in cache.folder.glob("*.bin"))
    assert held == cache.layout.bytes == tokens * 7 * 32 * 2 + 48 * 2 * 4


def test_without_hidden_states_logits_alone_are_kept(bench: Bench, tmp_path: Path) -> None:
    cache = make_cache(bench, tmp_path, states=False)
    assert cache is not None and [array.name for array in cache.layout.arrays] == ["logits"]


@pytest.mark.parametrize("random_scales", [None, 1])
def test_training_from_the_cache_is_training_by_the_teacher(
    bench: Bench, tmp_path: Path, random_scales: int | None
) -> None:
    trained = []
    for cached in (False, True):
        nested, calls = make_nested(**STILL), []
        teacher = make_teacher()
        parts: dict[str, Any] = {"teacher": teacher}
        if cached:
            parts["cache"] = make_cache(bench, tmp_path / "cache")
            teacher.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        # Plain gradient steps: Adam makes whole ones of noise where there is no gradient.
        settings = {**PLAIN_STEP, "learning_rate": 0.05, "num_train_epochs": 2}
        trainer = bench.sandwich(nested, random_scales, trainer=parts, **settings)
        loss = trainer.train().training_loss
        assert not calls
        trained.append((loss, weights(nested.model)))
    (loss, whole), (cached_loss, from_cache) = trained
    assert cached_loss == pytest.approx(loss, rel=1e-3)
    start = weights(make_nested(**STILL).model)
    for name, value in whole.items():
        assert (from_cache[name] - value).norm() <= 0.01 * (value - start[name]).norm() + 1e-5, name
    assert (whole["classifier.weight"] - start["classifier.weight"]).norm() > 1e-2


def test_a_cache_is_made_once_and_known_by_what_it_was_made_from(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_cache(bench, tmp_path)
    (folder,) = tmp_path.iterdir()
    teacher, calls = make_teacher(), []
    teacher.register_forward_hook(lambda *_: calls.append(1))
    again = make_cache(bench, tmp_path, teacher)
    assert again is not None and again.folder == folder
    assert len(calls) == 1  # of one example, for its shapes

    with torch.no_grad():
        teacher.classifier.bias[0] += 1e-3
    other = make_cache(bench, tmp_path, teacher)
    assert other is not None and other.folder != folder
    bench.dataset = bench.dataset.select(range(47))
    fewer = make_cache(bench, tmp_path)
    assert fewer is not None and fewer.folder not in (folder, other.folder)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in (folder, other.folder, fewer.folder)}


def test_the_bound_holds_and_the_oldest_goes_first(bench: Bench, tmp_path: Path) -> None:
    made, size = [], WIDE
    for seed in (0, 1, 2, 3):
        cache = make_cache(bench, tmp_path, make_bert(labels=2, seed=seed), limit=2.5 * size)
        assert cache is not None
        size = cache.layout.bytes
        held = sum(file.stat().st_size for file in tmp_path.rglob("*.bin"))
        assert held <= 2.5 * size
        cache.close()
        made.append(cache.folder)
    assert [folder.exists() for folder in made] == [False, False, True, True]


def test_what_is_read_is_not_removed(bench: Bench, tmp_path: Path) -> None:
    first = make_cache(bench, tmp_path)
    assert first is not None
    size = first.layout.bytes
    with pytest.raises(DataError, match=r"GiB in .* that other runs are reading; raise it"):
        make_cache(bench, tmp_path, make_bert(labels=2, seed=1), limit=1.5 * size)
    assert first.folder.exists()
    first.close()
    assert make_cache(bench, tmp_path, make_bert(labels=2, seed=1), limit=1.5 * size) is not None
    assert not first.folder.exists()


def test_what_is_removed_in_spite_of_it_is_read_on(bench: Bench, tmp_path: Path) -> None:
    cache = make_cache(bench, tmp_path)
    assert cache is not None
    mask = torch.tensor([bench.dataset[0]["attention_mask"]])
    before = cache.read([0], mask).logits
    shutil.rmtree(cache.folder)
    assert torch.equal(cache.read([0], mask).logits, before)


@pytest.mark.parametrize(("limit", "named"), [(100.0, "engine.teacher_cache_gib")])
def test_what_does_not_fit_is_refused_or_left(bench: Bench, tmp_path: Path, limit: float, named: str) -> None:
    assert make_cache(bench, tmp_path, limit=limit, required=False) is None
    with pytest.raises(DataError, match=named):
        make_cache(bench, tmp_path, limit=limit)
    assert not list(tmp_path.iterdir())


def test_values_beyond_half_precision_are_refused_and_leave_nothing(bench: Bench, tmp_path: Path) -> None:
    teacher = make_teacher()
    with torch.no_grad():
        teacher.bert.encoder.layer[-1].output.LayerNorm.weight.fill_(1e6)
    with pytest.raises(DataError, match=r"half precision cannot hold the teacher's hidden_states"):
        make_cache(bench, tmp_path, teacher)
    assert make_cache(bench, tmp_path, teacher, required=False) is None
    assert not list(tmp_path.iterdir())


def test_examples_that_change_are_noticed(bench: Bench, tmp_path: Path) -> None:
    cache = make_cache(bench, tmp_path)
    assert cache is not None
    mask = torch.ones(1, len(bench.dataset[0]["attention_mask"]) + 1)
    with pytest.raises(DataError, match="examples change"):
        cache.read([0], mask)


def test_two_runs_at_once_share_one_cache(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other run finishes while this one is at work."""
    other = make_cache(bench, tmp_path / "elsewhere")
    assert other is not None
    here = tmp_path / "here"
    write = CacheWriter.write

    def overtaken(self: Any, *args: Any) -> None:
        write(self, *args)
        if not (here / other.folder.name).exists():
            other.folder.rename(here / other.folder.name)

    monkeypatch.setattr(CacheWriter, "write", overtaken)
    mine = make_cache(bench, here)
    assert mine is not None and [path.name for path in here.iterdir()] == [other.folder.name]
    mask = torch.tensor([bench.dataset[3]["attention_mask"]])
    assert np.array_equal(mine.read([3], mask).logits, other.read([3], mask).logits)


def test_the_column_of_rows_reaches_neither_model_nor_metric(bench: Bench, tmp_path: Path) -> None:
    trainer = bench.distil(make_nested().extract(0.3), trainer={"cache": make_cache(bench, tmp_path)})
    batch = next(iter(trainer.get_train_dataloader()))
    assert sorted(batch[ROW].tolist()) != [] and ROW not in trainer._features(batch)
    assert ROW not in bench.dataset.column_names
