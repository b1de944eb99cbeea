"""Sentence embeddings: pooled as sentence-transformers does, judged by pairs or the teacher, loaded as it is."""

from __future__ import annotations

import csv
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, BertConfig, BertModel

from minidisc_plugin import CompressionConfig, MiniDisc, compress
from minidisc_plugin.cli import main
from minidisc_plugin.contracts.distillation import DistillationConfig
from minidisc_plugin.foundation.errors import ConfigError, DataError, MetricError
from minidisc_plugin.foundation.model_files.sentence_files import MODES, read_sentence_files
from minidisc_plugin.integrations.hosts import available
from minidisc_plugin.integrations.schemes import WAYS
from minidisc_plugin.objectives import Embeddings, MiniDiscObjective
from minidisc_plugin.run.preparation import prepare
from minidisc_plugin.run.steps.report import Report
from minidisc_plugin.tasks.embedding_head import add_head, drop_head
from minidisc_plugin.tasks.feature_extraction import FeatureExtraction
from minidisc_plugin.tasks.pooling import Pooling, Reading
from minidisc_plugin.tasks.registry import task_of_model
from tests.builders.kills import killed_at
from tests.builders.script import arguments, examples
from tests.builders.tiny import make_tokenizer
from tests.faults.outcome import difference, outcome
from tests.tasks.making import BERT, SHAPE, make_model, make_task_run, write_sentence_files

TASK = "feature-extraction"
SCORED = [{"one": f"word{row % 9} a", "other": f"word{row % 5}", "score": row} for row in range(60)]
SENTENCES = ["word1 word2 good0", "word5", "word9 bad0 word3 word4 word8 word1"]
SCHEMES = [name for name, way in WAYS.items() if available(way.capability, way.route)]
SWITCHES = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}


def config_of(folder: Path, **changes: Any) -> CompressionConfig:
    return CompressionConfig.model_validate(make_task_run(folder, TASK, "embeddings", "spearmanr", **changes))


def rewritten(config: CompressionConfig, rows: dict[str, list[dict[str, Any]]], **changes: Any) -> CompressionConfig:
    """The config with other rows in the files of some splits, and other keys."""
    for split, lines in rows.items():
        file = Path(str(config.dataset.data_files[split]))  # type: ignore[index,call-overload]
        file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return CompressionConfig.model_validate({**config.model_dump(exclude_none=True), **changes})


def sentence_transformer(folder: Path) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu", trust_remote_code=True)


@pytest.mark.parametrize(
    "modes", [*((mode,) for mode in MODES), ("cls", "mean"), ("max", "mean", "lasttoken")], ids="+".join
)
@pytest.mark.parametrize("normalize", [True, False])
def test_embeddings_are_those_of_sentence_transformers(modes: tuple[str, ...], normalize: bool, tmp_path: Path) -> None:
    tokenizer = make_tokenizer(tmp_path)
    make_model("embeddings").save_pretrained(tmp_path)
    write_sentence_files(tmp_path, SHAPE["hidden_size"], normalize, **{SWITCHES[mode]: True for mode in modes})
    files = read_sentence_files(str(tmp_path), "model")
    assert files.pooling == modes and files.normalize is normalize
    model = BertModel.from_pretrained(tmp_path).eval()
    add_head(model, Pooling(files.pooling, files.normalize))
    batch = tokenizer(SENTENCES, padding=True, return_tensors="pt")
    with torch.no_grad():
        found = model(**batch).logits
    theirs = sentence_transformer(tmp_path)
    assert torch.allclose(found, theirs.encode(SENTENCES, convert_to_tensor=True), atol=1e-5)
    if "weightedmean" in modes and version("sentence_transformers").startswith("5"):
        return  # where padding on the left counts as places
    states, padded = torch.randn(2, 4, 32), torch.tensor([[0, 0, 1, 1], [0, 1, 1, 1]])
    wanted = theirs[1]({"token_embeddings": states, "attention_mask": padded})["sentence_embedding"]
    assert torch.allclose(Pooling(modes)(states, padded), wanted, atol=1e-5)


def test_the_student_learns_and_loads_as_its_teacher_does(tmp_path: Path) -> None:
    result = compress(config_of(tmp_path))
    student, teacher = result.results.row("student"), result.results.row("teacher")
    assert student is not None and teacher is not None and student.metric is not None and teacher.metric is not None
    assert student.metric > 0.8 and student.metric == pytest.approx(teacher.metric, abs=0.05)  # chance is 0
    assert all(candidate.metric is not None and candidate.metric > 0.9 for candidate in result.schedule.candidates)
    assert result.results.examples == 64  # pairs
    out = tmp_path / "out"
    names = {str(path.relative_to(out / "student")) for path in (out / "student").rglob("*") if path.is_file()}
    assert names >= {"modules.json", "1_Pooling/config.json", "sentence_bert_config.json", "tokenizer.json"}
    loaded = sentence_transformer(out / "student").encode(SENTENCES, convert_to_tensor=True)
    batch = AutoTokenizer.from_pretrained(out / "student")(SENTENCES, padding=True, return_tensors="pt")
    with torch.no_grad():
        states = result.student(**batch).last_hidden_state
    assert torch.allclose(loaded, Pooling(normalize=True)(states, batch["attention_mask"]), atol=1e-5)
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "SentenceTransformer(" in card and "pipeline_tag: feature-extraction" in card


@pytest.mark.skipif(not available("openvino_bits"), reason="no host exports to OpenVINO")
@pytest.mark.parametrize(
    ("formats", "schemes"),
    [
        (["openvino"], ["openvino_int8"]),
        pytest.param(["openvino", "onnx"], SCHEMES, marks=pytest.mark.slow),
    ],
)
def test_exports_and_eight_bits_keep_the_metric(formats: list[str], schemes: list[str], tmp_path: Path) -> None:
    steps = {"steps": ["export", "quantization"], "export": {"formats": formats}, "quantization": {"schemes": schemes}}
    result = compress(config_of(tmp_path, scheduler="direct", scheduler_config={}, **steps))
    rows = [row for row in result.results.rows if row.role == "student"]
    assert len(rows) == 1 + len(formats) + len(schemes)
    for row in rows:
        assert row.metric == pytest.approx(rows[0].metric, abs=0.02), row.runtime
    for folder in (tmp_path / "out").glob("student-*"):
        assert (folder / "modules.json").is_file(), folder


def test_without_scores_the_teacher_is_the_measure(tmp_path: Path) -> None:
    config = config_of(tmp_path, scheduler="direct", scheduler_config={})
    rows = [{"one": f"word{row % 9} word{row % 7} good{row % 2}"} for row in range(30)]
    unscored = {**config.dataset.model_dump(exclude_none=True), "label": "label"}
    result = compress(rewritten(config, {"test": rows}, dataset=unscored))
    student, teacher = result.results.row("student"), result.results.row("teacher")
    assert student is not None and teacher is not None and student.metric is not None
    assert teacher.metric == pytest.approx(1.0) and 0.9 < student.metric < 1.0
    assert result.results.examples == 30 and result.results.judged_by_teacher
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "its spearmanr is the agreement with the teacher's own similarities" in card


def test_splits_of_a_csv_file_each_have_their_columns(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    files = {"train": tmp_path / "train.csv", "validation": tmp_path / "valid.csv", "test": tmp_path / "test.csv"}
    lines = {
        "train": [["text"], *([f"word{row % 9} word{row % 5}"] for row in range(40))],
        "validation": [["text"], *([f"word{row % 8} good{row % 2}"] for row in range(12))],
        "test": [["one", "other", "score"], *([f"word{row}", f"word{row % 3}", row / 12] for row in range(12))],
    }
    for split, file in files.items():
        with file.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows(lines[split])
    dataset = {
        "path": "csv",
        "data_files": {split: str(file) for split, file in files.items()},
        "text": ["text", "one", "other"],
        "label": "score",
    }
    prepared = prepare(rewritten(config, {}, dataset=dataset), tmp_path / "checkpoints")
    splits = prepared.splits
    assert splits.validation is not None
    assert [len(split) for split in (splits.report, splits.validation)] == [24, 12]
    assert "labels" not in splits.train.column_names
    assert np.any(splits.selection["labels"]) and np.any(splits.validation["labels"])
    assert not np.any(splits.report["labels"])  # pairs say what is right
    assert np.allclose([pair[1] for pair in splits.report["pairs"]][::2], np.arange(12) / 12)


@pytest.mark.parametrize(
    ("rows", "changes", "error", "message"),
    [
        (
            {"test": [{"one": "word1", "other": "word2", "score": 0.5}] * 3},
            {},
            DataError,
            r"dataset.label: every pair of split 'test' is scored 0.5",
        ),
        ({"test": [{"one": "word1", "score": 0.5}]}, {}, ConfigError, r"a score is of a pair: list the two columns"),
        (
            {"test": [{"one": "word1", "other": "word2", "score": "high"}]},
            {},
            DataError,
            r"dataset.label: 'high' in column 'score' of split 'test' is not a number",
        ),
        ({"train": [{"words": "word1"}] * 9}, {}, DataError, r"dataset.text: column 'one' is not in split 'train'"),
        ({"train": [{"one": f"word{row}"} for row in range(9)]}, {}, DataError, r"selection split has no three texts"),
        (
            {"test": [{"one": "word1"}] * 9, "train": SCORED},
            {},
            DataError,
            r"reported split 'test' has no three texts that differ, nor two",
        ),
        (
            {"test": [{"one": "word1", "other": f"word{row}", "skore": row} for row in range(9)]},
            {},
            DataError,
            r"dataset.label: column 'score' is in no split; columns: one, other, skore; correct it",
        ),
        ({}, {"metric": "accuracy"}, MetricError, r"compares classes"),
        (
            {},
            {"distillation": {"objective": "knowledge_distillation"}},
            ConfigError,
            r"objective: 'knowledge_distillation' compares students with labels, and examples of task feature-ext",
        ),
        ({}, {"trainer": "inc"}, ConfigError, r"trainer: 'inc'"),
        ({}, {"task": "text-classification"}, ConfigError, r"set task: feature-extraction"),
    ],
)
def test_what_cannot_be_used_is_refused_before_training(
    rows: dict[str, list[dict[str, Any]]],
    changes: dict[str, Any],
    error: type[Exception],
    message: str,
    tmp_path: Path,
) -> None:
    config = rewritten(config_of(tmp_path), rows, **changes)
    with pytest.raises(error, match=message):
        compress(config)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("modules.json", "{", r"modules.json: not valid JSON"),
        ("sentence_bert_config.json", "\udcff", r"sentence_bert_config.json: not valid JSON"),
        ("modules.json", "{}", r"a list \[\.\.\.\] is needed"),
        ("modules.json", '[{"path": "", "type": "my.Transformer"}]', r"names a module 'my.Transformer'"),
        (
            "modules.json",
            '[{"path": "", "type": "sentence_transformers.models.Transformer"}, '
            '{"path": "2_Dense", "type": "sentence_transformers.models.Dense"}]',
            r"names a module 'sentence_transformers.models.Dense'",
        ),
        (
            "modules.json",
            '[{"path": "0_Transformer", "type": "sentence_transformers.models.Transformer"}]',
            r"does not begin with the one transformer",
        ),
        (
            "modules.json",
            '[{"path": "", "type": "sentence_transformers.models.Transformer"}, '
            '{"path": "../up", "type": "sentence_transformers.models.Pooling"}]',
            r"names the folder '../up'",
        ),
        (
            "modules.json",
            '[{"path": "", "type": "sentence_transformers.models.Transformer"}]',
            r"names 0 modules Pooling",
        ),
        (
            "modules.json",
            '[{"path": "", "type": "sentence_transformers.models.Transformer"}, '
            '{"type": "sentence_transformers.models.Pooling"}]',
            r"gives Pooling no path",
        ),
        (
            "config_sentence_transformers.json",
            '{"prompts": {"query": "word1 "}, "default_prompt_name": "passage"}',
            r"default_prompt_name: 'passage', which is none of its prompts",
        ),
        ("1_Pooling/config.json", '{"pooling_mode": "median"}', r"pooling_mode 'median' is none of cls, max"),
    ],
)
def test_files_that_ask_for_something_else_are_refused(file: str, content: str, message: str, tmp_path: Path) -> None:
    config = config_of(tmp_path)
    (tmp_path / "teacher" / file).write_text(content, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ConfigError, match=message):
        compress(config)
    assert not (tmp_path / "out").exists()


def test_texts_are_read_as_sentence_transformers_reads_them(tmp_path: Path) -> None:
    """Its prompt before each, and cut where it cuts: else the report would be of another model."""
    from scipy.stats import spearmanr

    config = config_of(tmp_path, scheduler="direct", scheduler_config={})
    teacher, out = tmp_path / "teacher", tmp_path / "out"
    (teacher / "sentence_bert_config.json").write_text('{"max_seq_length": 6}', encoding="utf-8")
    prompts = {"prompts": {"query": "word11 word12 "}, "default_prompt_name": "query"}
    (teacher / "config_sentence_transformers.json").write_text(json.dumps(prompts), encoding="utf-8")
    result = compress(config)
    rows = [json.loads(line) for line in (tmp_path / "test.jsonl").read_text(encoding="utf-8").split("\n")]
    for role, folder in (("teacher", teacher), ("student", out / "student")):
        model = sentence_transformer(folder)
        one, other = (torch.tensor(model.encode([row[name] for row in rows])) for name in ("one", "other"))
        cosines = torch.nn.functional.cosine_similarity(one.double(), other.double()).numpy().round(6)
        row = result.results.row(role)
        assert row is not None
        wanted = spearmanr(cosines, [row["score"] for row in rows]).statistic
        assert row.metric == pytest.approx(wanted, abs=0.005) and row.metric < 0.8  # cut as it is


def test_texts_are_read_in_small_letters_where_they_are() -> None:
    assert Reading("Query: ", lower_case=True)("What is IT?") == "query: what is it?"
    assert FeatureExtraction.of(BertConfig(sentence_embedding={"prompt": "q "})).reading == Reading("q ")


def test_pairs_to_train_on_stay_together(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    splits = prepare(rewritten(config, {"train": SCORED}), tmp_path / "checkpoints").splits
    numbers = [int(pair[0]) for pair in splits.selection["pairs"]]
    assert len(numbers) == 12 and numbers[::2] == numbers[1::2]
    assert sorted(set(numbers)) == sorted(numbers[::2])
    assert not {int(pair[0]) for pair in splits.train["pairs"]} & set(numbers)


def test_releases_from_six_on_name_the_mode(tmp_path: Path) -> None:
    write_sentence_files(tmp_path, 4)
    settings = {"embedding_dimension": 4, "pooling_mode": ["cls", "max"], "include_prompt": True}
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    assert read_sentence_files(str(tmp_path), "model").pooling == ("cls", "max")


def test_a_model_without_files_is_pooled_as_sentence_transformers_does(tmp_path: Path) -> None:
    make_tokenizer(tmp_path)
    make_model("embeddings").save_pretrained(tmp_path)
    files = read_sentence_files(str(tmp_path), "model")
    assert files.texts == {} and (files.pooling, files.normalize) == (("mean",), False)


def test_a_run_that_was_killed_goes_on_to_the_same_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"scheduler": "direct", "scheduler_config": {}}
    config = config_of(tmp_path, **settings)
    killed_at(monkeypatch, Report, "run", config)
    result = compress(config, resume=True)
    whole = compress(rewritten(config, {}, output_dir=str(tmp_path / "whole")))
    assert difference(outcome(whole.output_dir), outcome(result.output_dir)) is None


def test_another_pooling_is_another_run(tmp_path: Path) -> None:
    config = config_of(tmp_path, scheduler="direct", scheduler_config={})
    compress(config)
    write_sentence_files(tmp_path / "teacher", SHAPE["hidden_size"], pooling_mode_cls_token=True)
    with pytest.raises(Exception, match="files beside the model"):
        compress(config, resume=True)


def test_an_encoder_without_the_pooler_s_weights_is_an_embedder(tmp_path: Path) -> None:
    config = config_of(tmp_path, scheduler="direct", scheduler_config={})
    (tmp_path / "teacher" / "model.safetensors").unlink()
    BertModel(BertConfig(**BERT), add_pooling_layer=False).save_pretrained(tmp_path / "teacher")
    student = compress(config).student
    assert student.pooler is None
    names = set(load_file(tmp_path / "out" / "student" / "model.safetensors"))
    assert names and not any("pooler" in name for name in names)
    assert sentence_transformer(tmp_path / "out" / "student").encode(SENTENCES).shape == (3, 32)


def test_further_texts_and_altered_copies_are_trained_on(tmp_path: Path) -> None:
    config = config_of(tmp_path, scheduler="direct", scheduler_config={}, distillation={"augment": 1})
    further = tmp_path / "further.jsonl"
    further.write_text("\n".join(json.dumps({"other": f"word{row % 9} word1"}) for row in range(20)), encoding="utf-8")
    dataset = config.dataset.model_dump(exclude_none=True)
    dataset["data_files"] = {**dataset["data_files"], "unlabelled": str(further)}
    result = compress(rewritten(config, {}, dataset=dataset))
    assert result.results.drawn_from == {"labelled": 432, "unlabelled": 20, "altered": 432}
    student = result.results.row("student")
    assert student is not None and student.metric is not None and student.metric > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("scheduler_config", [{"candidates": [0.8, 0.6]}, {}], ids=["some", "max_loss"])
def test_a_student_that_is_good_enough_is_found(scheduler_config: dict[str, Any], tmp_path: Path) -> None:
    settings = {"pruning": {"max_loss": 0.2}, "distillation": {"objective": "embeddings"}}
    search = compress(config_of(tmp_path, scheduler_config=scheduler_config, **settings)).results.budget
    assert search is not None and search.search is not None and search.search.kept
    assert all(one.sure is not None for one in search.search.tried)


def test_the_command_line_reports_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compress(config_of(tmp_path, scheduler="direct", scheduler_config={}))
    capsys.readouterr()
    assert main(["report", str(tmp_path / "out")]) == 0
    assert "spearmanr" in capsys.readouterr().out


def test_a_bare_encoder_needs_a_config(run_files: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"args": arguments(tmp_path), "train_dataset": examples(run_files)}
    with pytest.raises(ConfigError, match="a BertModel has no head"):
        MiniDisc(target_sparsity=0.5).schedule(
            make_model("embeddings"), compute_metrics=lambda found: {"spearmanr": 0.0}, metric="spearmanr", **given
        )


def test_the_head_goes_with_copies_and_from_what_is_exported() -> None:
    import copy

    model = make_model("embeddings")
    add_head(model, Pooling())
    assert isinstance(task_of_model(model), FeatureExtraction)
    assert not any(parameter.requires_grad for parameter in model.pooler.parameters())
    other = copy.copy(model)
    drop_head(other)
    ids = torch.tensor([[1, 2, 3]])
    assert "last_hidden_state" in other(ids) and set(model(ids)) == set(copy.deepcopy(model)(ids)) == {"logits"}
    assert set(model(ids, labels=torch.ones(1, 32))) == {"loss", "logits"}


def output_of(seed: int, texts: int = 4) -> Any:
    from transformers.modeling_outputs import SequenceClassifierOutput

    chance = torch.Generator().manual_seed(seed)
    states = tuple(torch.randn(texts, 3, 6, generator=chance) for _ in range(3))
    return SequenceClassifierOutput(logits=torch.randn(texts, 6, generator=chance), hidden_states=states)


def test_the_objective_compares_embeddings_and_their_similarities() -> None:
    settings = DistillationConfig.model_validate({"objective": "embeddings", "embeddings": {"scale": 5.0}})
    objective, paper = Embeddings(settings, regression=True), MiniDiscObjective(DistillationConfig(), regression=True)
    mine, theirs, batch = FeatureExtraction().compared(output_of(0), output_of(1), {"attention_mask": torch.ones(4, 3)})
    cosines = torch.nn.functional.cosine_similarity(mine.logits, theirs.logits)
    assert float((mine.logits - theirs.logits).pow(2).mean()) == pytest.approx(float(2 * (1 - cosines).mean()))
    expected = 0.0
    for row in range(4):
        others = [other for other in range(4) if other != row]
        told = []
        for output in (mine, theirs):
            unit = output.logits / output.logits.norm(dim=1, keepdim=True)
            told.append((5 * unit[others] @ unit[row]).softmax(0))
        expected += float((told[1] * (told[1] / told[0]).log()).sum()) / 4
    assert float(objective(mine, theirs, batch) - paper(mine, theirs, batch)) == pytest.approx(expected, rel=1e-4)
    assert float(objective(theirs, theirs, batch)) == pytest.approx(0.0, abs=1e-5)
    alone = FeatureExtraction().compared(output_of(0, 1), output_of(1, 1), {"attention_mask": torch.ones(1, 3)})
    assert float(objective(*alone)) == pytest.approx(float(paper(*alone)))


def test_importance_does_not_depend_on_how_texts_are_batched(tmp_path: Path) -> None:
    model, tokenizer = make_model("embeddings").eval(), make_tokenizer(tmp_path)
    add_head(model, Pooling())
    task = FeatureExtraction()
    labels = torch.ones(3, 32)

    def ranked(*sizes: int) -> list[float]:
        from minidisc_plugin.nested.importance import importance
        from minidisc_plugin.nested.units import structure_of
        from minidisc_plugin.plugins import families

        start, batches = 0, []
        for size in sizes:
            batch = tokenizer(SENTENCES[start : start + size], padding=True, return_tensors="pt")
            batches.append(task.ranked_by({**batch, "labels": labels[start : start + size]}))
            start += size
        heads, neurons = importance(model, structure_of(model, families()["bert"]), batches)
        return torch.cat([*heads, *neurons]).tolist()

    found = ranked(3)
    assert found == pytest.approx(ranked(1, 2), rel=1e-4) and min(found) > 0
