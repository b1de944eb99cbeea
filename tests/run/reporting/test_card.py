from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from minidisc_plugin.contracts.records import ResultsRecord, ScheduleRecord
from minidisc_plugin.run.reporting.card import write_model_card
from minidisc_plugin.run.reporting.plot import plot_tradeoff
from minidisc_plugin.run.reporting.rows import results_grid
from minidisc_plugin.run.reporting.schedule_rows import schedule_grid
from minidisc_plugin.run.reporting.tables import markdown_table

hub = pytest.importorskip("huggingface_hub")

SCHEDULE = Callable[..., ScheduleRecord]
RESULTS = Callable[..., ResultsRecord]
NAMES = {
    "base_model": "google-bert/bert-base-uncased",
    "task": "text-classification",
    "dataset": "nyu-mll/glue",
}


def test_the_hub_understands_the_front_matter(tmp_path: Path, make_schedule: SCHEDULE, make_results: RESULTS) -> None:
    path = write_model_card(tmp_path, make_schedule(), make_results(), **NAMES)
    assert path == tmp_path / "README.md"
    data = hub.ModelCard.load(path).data
    assert data.library_name == "transformers"
    assert data.pipeline_tag == "text-classification"
    assert data.base_model == NAMES["base_model"]
    assert data.datasets == ["nyu-mll/glue"]
    assert data.metrics == ["accuracy"]
    assert "minidisc" in data.tags
    (result,) = data.eval_results
    assert (result.metric_type, result.metric_value, result.dataset_split) == ("accuracy", 0.825, "test")
    assert data.model_name == tmp_path.name


def test_the_body_tells_what_it_is(tmp_path: Path, make_schedule: SCHEDULE, make_results: RESULTS) -> None:
    schedule, results = make_schedule(), make_results()
    plot_tradeoff(schedule, tmp_path / "tradeoff.png")
    body = hub.ModelCard.load(write_model_card(tmp_path, schedule, results, **NAMES)).text
    assert markdown_table(results_grid([results])) in body
    assert markdown_table(schedule_grid(schedule)) in body
    assert "](tradeoff.png)" in body
    assert "lambda = 0.2" in body and schedule.rule in body
    assert "through a teacher assistant of scale 0.2" in body
    assert "0.8250 accuracy (teacher: 0.8720) on the test split, with 13.1M parameters" in body
    assert 'minidisc_plugin.load("student")' in body
    assert 'AutoModelForSequenceClassification.from_pretrained("student", trust_remote_code=True)' in body
    assert "torch 2.13.0, transformers 4.57.6" in body
    assert "- `student/`: student (torch fp32)" in body
    assert "None" not in body


@pytest.mark.parametrize(
    ("guide", "said"),
    [
        ("teacher", "distilled from the teacher, its weights taken from a teacher assistant of scale 0.2."),
        ("both", "distilled from the teacher and a teacher assistant of scale 0.2 together."),
    ],
)
def test_it_says_what_the_student_followed(
    guide: str, said: str, tmp_path: Path, make_schedule: SCHEDULE, make_results: RESULTS
) -> None:
    schedule = make_schedule().model_copy(update={"guide": guide})
    assert said in write_model_card(tmp_path, schedule, make_results(), **NAMES).read_text()


def test_code_in_the_card_is_python(tmp_path: Path, make_schedule: SCHEDULE, make_results: RESULTS) -> None:
    body = write_model_card(tmp_path, make_schedule(), make_results(), **NAMES).read_text()
    blocks = body.split("```python\n")[1:]
    assert len(blocks) == 2
    for block in blocks:
        compile(block.split("```")[0], "card", "exec")


def test_a_local_path_is_neither_metadata_nor_published_whole(
    tmp_path: Path, make_schedule: SCHEDULE, make_results: RESULTS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("models/tiny").mkdir(parents=True)
    for base in ("/home/somebody/models/tiny", "models/tiny"):
        card = hub.ModelCard.load(
            write_model_card(
                tmp_path,
                make_schedule(),
                make_results(),
                base_model=base,
                task="sentiment",
                dataset="/data/somebody/reviews.csv",
            )
        )
        assert card.data.base_model is None and card.data.datasets is None
        assert "somebody" not in card.content and "models/tiny" not in card.content
        assert "`tiny`" in card.text and "`reviews.csv`" in card.text
        assert card.data.pipeline_tag == "text-classification"
        assert card.data.eval_results[0].task_name == "sentiment"


def test_a_data_file_is_no_dataset_of_the_hub(tmp_path: Path, make_schedule: SCHEDULE, make_results: RESULTS) -> None:
    path = write_model_card(tmp_path, make_schedule(), make_results(), **{**NAMES, "dataset": "mrpc.csv"})
    assert hub.ModelCard.load(path).data.datasets is None


def test_without_an_assistant_a_plot_or_a_metric(
    tmp_path: Path, make_schedule: SCHEDULE, make_results: RESULTS
) -> None:
    (tmp_path / "tradeoff.png").write_bytes(b"of an earlier run")
    student = make_results().rows[2].model_copy(update={"metric": None})
    direct = make_schedule({}, assistants=(), scheduler="direct", lam=None)
    path = write_model_card(tmp_path, direct, make_results(rows=[student], versions={}), **NAMES)
    card = hub.ModelCard.load(path)
    assert card.data.eval_results is None
    assert "distilled from the teacher directly" in card.text
    assert "tradeoff.png" not in card.text and "lambda" not in card.text and "reaches" not in card.text
    assert "None" not in card.text


def test_several_assistants_are_plural(tmp_path: Path, make_schedule: SCHEDULE, make_results: RESULTS) -> None:
    path = write_model_card(tmp_path, make_schedule(assistants=(0.5, 0.2)), make_results(), **NAMES)
    assert "through teacher assistants of scale 0.5, 0.2." in path.read_text()
