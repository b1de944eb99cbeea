"""Each task through the whole pipeline: what the student learned is above chance."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from minidisc_plugin import CompressionConfig, compress
from minidisc_plugin.foundation.errors import ConfigError
from tests.tasks.making import make_task_run


@pytest.mark.parametrize(
    ("task", "kind", "metric", "chance"),
    [
        ("token-classification", "token-classification", "seqeval", 0.3),  # entities: chance is near 0
        ("multiple-choice", "multiple-choice", "accuracy", 0.7),  # one in four; one in two for who reads choices alone
        ("question-answering", "question-answering", "squad", 45.0),  # one word in four to nine
        # Word frequencies alone save 0.42 of the bits of a word, and all of the two special tokens'.
        pytest.param("text-generation", "gpt2", "bits_saved", 0.75, marks=pytest.mark.slow),  # as llama, below
        ("text-generation", "llama", "bits_saved", 0.75),
        ("text2text-generation", "t5", "bits_saved", 0.7),
        # As t5; two of six tokens are special, the others one of ten.
        pytest.param("text2text-generation", "bart", "accuracy", 0.7, marks=pytest.mark.slow),
    ],
)
def test_the_student_is_above_chance(task: str, kind: str, metric: str, chance: float, tmp_path: Path) -> None:
    epochs = 30 if task == "text2text-generation" else 12
    result = compress(CompressionConfig.model_validate(make_task_run(tmp_path, task, kind, metric, epochs)))
    teacher, student = result.results.row("teacher"), result.results.row("student")
    assert teacher is not None and student is not None and student.metric is not None
    assert [candidate.scale for candidate in result.schedule.candidates] == [0.8, 0.6]
    assert all(candidate.metric is not None for candidate in result.schedule.candidates)
    assert student.metric > chance, (teacher.metric, student.metric)
    assert student.macs is not None and student.latency_ms_batch1 is not None
    assert result.results.examples == 64
    assert (student.perplexity is not None) is (task.startswith("text"))
    if student.perplexity is not None and metric == "bits_saved":
        vocabulary = result.student.config.vocab_size
        assert student.metric == pytest.approx(1 - math.log(student.perplexity) / math.log(vocabulary), abs=1e-6)
    assert ("perplexity" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")) is task.startswith("text")


@pytest.mark.parametrize(
    ("task", "kind", "metric"),
    [
        ("token-classification", "token-classification", "seqeval"),
        pytest.param("question-answering", "question-answering", "squad", marks=pytest.mark.slow),
        pytest.param("text-generation", "llama", "bits_saved", marks=pytest.mark.slow),
    ],
)
def test_an_objective_of_logits_reads_a_cache_of_logits(task: str, kind: str, metric: str, tmp_path: Path) -> None:
    changes = {
        "distillation": {"objective": "knowledge_distillation"},
        "engine": {"teacher_cache": True},
        "trainer": "transformers",
        "scheduler": "direct",
        "scheduler_config": {},
    }
    data = {**make_task_run(tmp_path, task, kind, metric, epochs=2), **changes}
    data["training"]["max_steps"] = 2
    student = compress(CompressionConfig.model_validate(data)).results.row("student")
    assert student is not None and student.metric is not None


def test_a_cache_of_an_encoder_decoder_is_refused_before_the_ranking(tmp_path: Path) -> None:
    data = make_task_run(tmp_path, "text2text-generation", "t5", "bits_saved", epochs=0, engine={"teacher_cache": True})
    with pytest.raises(ConfigError, match=r"engine.teacher_cache: true: an encoder-decoder's outputs are not kept"):
        compress(CompressionConfig.model_validate(data))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("task", "kind", "metric"),
    [
        ("token-classification", "token-classification", "seqeval"),
        ("question-answering", "question-answering", "squad"),
        ("multiple-choice", "multiple-choice", "accuracy"),
        ("text-generation", "gpt2", "bits_saved"),
        ("text2text-generation", "t5", "bits_saved"),
    ],
)
def test_a_student_follows_teacher_and_assistant(task: str, kind: str, metric: str, tmp_path: Path) -> None:
    data = {**make_task_run(tmp_path, task, kind, metric, epochs=1), "distillation": {"guide": "both"}}
    data["training"]["max_steps"] = 1
    result = compress(CompressionConfig.model_validate(data))
    student = result.results.row("student")
    assert result.schedule.assistants and student is not None and student.metric is not None
