"""Images: read as the teacher's processor reads them, left in their files, refused where they cannot be read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from datasets import Image as ImageFeature
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForImageClassification,
    DeiTConfig,
    DeiTForImageClassificationWithTeacher,
    pipeline,
)

from minidisc_plugin import CompressionConfig, MiniDisc, compress
from minidisc_plugin.cli import main
from minidisc_plugin.contracts.distillation import DistillationConfig
from minidisc_plugin.contracts.output import RESOLVED_CONFIG
from minidisc_plugin.contracts.validation import validate
from minidisc_plugin.foundation.digests import digest_of_dataset
from minidisc_plugin.foundation.errors import ConfigError, DataError, MinidiscError, RunDirectoryError
from minidisc_plugin.integrations.hosts import available
from minidisc_plugin.integrations.schemes import WAYS
from minidisc_plugin.objectives import MiniDiscObjective
from minidisc_plugin.run.preparation import prepare
from minidisc_plugin.run.steps.report import Report
from minidisc_plugin.tasks.images import PIXELS, ImageCollator
from minidisc_plugin.training.checkpoints import checkpoints_in
from minidisc_plugin.training.dependable import DependableTraining
from minidisc_plugin.training.observing import Asked
from minidisc_plugin.training.teacher_examples import Examples
from minidisc_plugin.training.teacher_store import TeacherStore
from tests.builders.kills import killed_at
from tests.builders.pictures import COLOURS, make_image, make_image_run, make_processor, make_vit, write_config
from tests.builders.script import accuracy, arguments
from tests.faults.outcome import difference, outcome

SCHEMES = [name for name, way in WAYS.items() if available(way.capability, way.route)]
CHANCE = 1 / len(COLOURS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return make_image_run(tmp_path_factory.mktemp("images"))


def config_of(made: dict[str, Any], folder: Path, **changes: Any) -> CompressionConfig:
    return validate(CompressionConfig, {**made, "output_dir": str(folder / "out"), **changes})


def of_a_copy(made: dict[str, Any], folder: Path, change: Callable[[Path], Any]) -> CompressionConfig:
    """The config with a changed copy of the images."""
    images = folder / "images"
    shutil.copytree(made["dataset"]["data_dir"], images)
    change(images)
    return config_of(made, folder, dataset={**made["dataset"], "data_dir": str(images)})


def of_a_teacher(made: dict[str, Any], folder: Path, change: Callable[[Path], Any]) -> CompressionConfig:
    teacher = folder / "teacher"
    shutil.copytree(made["model"], teacher)
    change(teacher)
    return config_of(made, folder, model=str(teacher))


def changed(**keys: Any) -> Callable[[Path], None]:
    """Change keys of the image processor's file."""

    def change(folder: Path) -> None:
        file = folder / "preprocessor_config.json"
        file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **keys}), encoding="utf-8")

    return change


def test_the_student_learns_and_loads_where_this_package_is_not(made: dict[str, Any], tmp_path: Path) -> None:
    result = compress(config_of(made, tmp_path))
    student = result.results.row("student")
    assert student is not None and student.metric is not None and student.metric > CHANCE + 0.4
    assert [candidate.scale for candidate in result.schedule.candidates] == [0.8, 0.6]
    assert result.results.examples == 45
    assert result.results.image_size == (16, 16) and result.results.sequence_length is None
    out = tmp_path / "out"
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "pipeline_tag: image-classification" in card and "16 x 16 pixels" in card
    assert "AutoModelForImageClassification" in card and "- imagefolder" not in card
    loaded = AutoModelForImageClassification.from_pretrained(out / "student", trust_remote_code=True)
    pixels = make_processor()([make_image("green", 1)], return_tensors="pt")
    with torch.no_grad():
        assert torch.allclose(loaded(**pixels).logits, result.student(**pixels).logits, atol=1e-6)
    classify = pipeline("image-classification", model=str(out / "student"), trust_remote_code=True, device="cpu")
    assert classify(make_image("green", 1))[0]["label"] == "green"


@pytest.mark.skipif(not available("openvino_bits"), reason="no host exports to OpenVINO")
@pytest.mark.parametrize(
    ("formats", "schemes"),
    [
        (["openvino"], ["openvino_static"]),
        pytest.param(["openvino", "onnx"], SCHEMES, marks=pytest.mark.slow),
    ],
)
def test_exports_and_fewer_bits_keep_the_metric(
    formats: list[str], schemes: list[str], made: dict[str, Any], tmp_path: Path
) -> None:
    steps = {"steps": ["export", "quantization"], "export": {"formats": formats}, "quantization": {"schemes": schemes}}
    result = compress(config_of(made, tmp_path, scheduler="direct", scheduler_config={}, **steps))
    rows = [row for row in result.results.rows if row.role == "student"]
    assert len(rows) == 1 + len(formats) + len(schemes)
    assert rows[0].metric is not None and rows[0].metric > CHANCE + 0.4
    for row in rows:
        assert row.metric == pytest.approx(rows[0].metric, abs=0.03), row.runtime
    for folder in (tmp_path / "out").glob("student-*"):
        assert (folder / "preprocessor_config.json").is_file(), folder


def test_the_protocol_plan_and_a_second_look(
    made: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = {**made, "output_dir": str(tmp_path / "out"), "protocol": "published", "scheduler": "direct"}
    data = {**data, "scheduler_config": {}, "training": {**made["training"], "max_steps": 2}}
    file = write_config(tmp_path, data)
    assert main(["plan", str(file)]) == 0
    assert "24 images of 16 x 16 pixels" in " ".join(capsys.readouterr().out.split())
    assert main(["run", str(file)]) == 0
    resolved = tmp_path / "out" / RESOLVED_CONFIG
    assert main(["run", str(resolved), "--resume"]) == 0


@pytest.mark.quick_on("inc")
@pytest.mark.quick_on("latest")
def test_a_killed_run_goes_on_to_the_same_end(
    made: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(made, tmp_path)
    killed_at(monkeypatch, Report, "run", config)
    result = compress(config, resume=True)
    whole = compress(config_of(made, tmp_path, output_dir=str(tmp_path / "whole")))
    assert difference(outcome(whole.output_dir), outcome(result.output_dir)) is None


@pytest.mark.quick_on("inc")
def test_a_stage_that_was_killed_goes_on_from_its_checkpoint(
    made: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of transformers 5 a checkpoint holds weights under names that its Trainer does not look for."""
    training = {**made["training"], "max_steps": 6, "save_strategy": "steps", "save_steps": 2}
    config = config_of(made, tmp_path, training=training)
    killed_at(monkeypatch, DependableTraining, "training_step", config, time=9)
    assert [found.step for found in checkpoints_in(tmp_path / "out" / "checkpoints" / "sandwich", sealed=True)]
    result = compress(config, resume=True)
    whole = compress(config_of(made, tmp_path, training=training, output_dir=str(tmp_path / "whole")))
    assert difference(outcome(whole.output_dir), outcome(result.output_dir)) is None


def test_a_checkpoint_without_some_weights_is_refused(
    made: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = {**made["training"], "max_steps": 6, "save_strategy": "steps", "save_steps": 2}
    config = config_of(made, tmp_path, training=training)
    killed_at(monkeypatch, DependableTraining, "training_step", config, time=9)
    checkpoint = checkpoints_in(tmp_path / "out" / "checkpoints" / "sandwich", sealed=True)[-1]
    file = checkpoint.folder / "model.safetensors"
    weights = load_file(file)
    del weights["classifier.weight"]
    save_file(weights, file, {"format": "pt"})
    checkpoint.seal()
    with pytest.raises(RunDirectoryError, match=r"it does not hold classifier\.weight; start the run again"):
        compress(config, resume=True)


def test_other_images_are_another_run(made: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = of_a_copy(made, tmp_path, lambda images: None)
    killed_at(monkeypatch, Report, "run", config)
    make_image("red", 77).save(tmp_path / "images" / "train" / "red" / "0.png")
    with pytest.raises(RunDirectoryError, match=r"dataset \(split to train on\)"):
        compress(config, resume=True)


def test_a_script_gives_images_of_its_own(made: dict[str, Any], tmp_path: Path) -> None:
    """A transform of the data set makes pixels, as in scripts of transformers."""
    processor = make_processor()
    rows = Dataset.from_dict(
        {"image": [make_image(COLOURS[row % 3], row) for row in range(48)], "labels": [row % 3 for row in range(48)]}
    )

    def read(batch: dict[str, list[Any]]) -> dict[str, Any]:
        return {**processor(batch["image"], return_tensors="pt"), "labels": batch["labels"]}

    images = rows.cast_column("image", ImageFeature()).with_transform(read)
    found = MiniDisc(target_sparsity=0.5).schedule(
        make_vit(),
        args=arguments(tmp_path, remove_unused_columns=False),
        train_dataset=images,
        compute_metrics=accuracy,
        metric="accuracy",
    )
    assert found.student.config.model_type == "vit"


def test_other_pixels_are_another_data_set(made: dict[str, Any], tmp_path: Path) -> None:
    """A digest is of what files hold: their paths say nothing."""

    def split(folder: Path) -> Any:
        return prepare(of_a_copy(made, folder, lambda images: None), folder / "checkpoints").splits.train

    first, second = (split(tmp_path / name) for name in ("one", "two"))
    assert digest_of_dataset(first) == digest_of_dataset(second)
    make_image("red", 77).save(tmp_path / "two" / "images" / "train" / "red" / "0.png")
    assert digest_of_dataset(first) != digest_of_dataset(second)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "LA"])
def test_images_of_every_kind_become_what_the_model_takes(mode: str) -> None:
    collate = ImageCollator(make_processor(), "RGB")
    batch = collate(
        [{PIXELS: make_image("red", 1).convert(mode), "labels": 1}, {PIXELS: make_image("blue", 2), "labels": 0}]
    )
    assert batch[PIXELS].shape == (2, 3, 16, 16) and batch["labels"].tolist() == [1, 0]


def test_a_model_of_grey_images_is_given_grey_ones(made: dict[str, Any], tmp_path: Path) -> None:
    teacher = tmp_path / "teacher"
    make_vit(channels=1).save_pretrained(teacher)
    make_processor(channels=1).save_pretrained(teacher)
    prepared = prepare(config_of(made, tmp_path, model=str(teacher)), tmp_path)
    batch = prepared.task.collator(prepared.processor)([prepared.splits.train[0]])  # type: ignore[misc]
    assert batch[PIXELS].shape == (1, 1, 16, 16)


def test_an_image_may_have_several_labels(made: dict[str, Any], tmp_path: Path) -> None:
    teacher, files = tmp_path / "teacher", {}
    make_vit(problem_type="multi_label_classification").save_pretrained(teacher)
    make_processor().save_pretrained(teacher)
    for split in ("train", "test"):
        images = sorted((Path(made["dataset"]["data_dir"]) / split).rglob("*.png"))
        rows = [json.dumps({"picture": str(file), "label": [file.parent.name]}) for file in images]
        files[split] = str(tmp_path / f"{split}.jsonl")
        Path(files[split]).write_text("\n".join(rows), encoding="utf-8")
    data = {"path": "json", "data_files": files, "image": "picture"}
    training = {**made["training"], "max_steps": 1}
    result = compress(config_of(made, tmp_path, model=str(teacher), dataset=data, metric="f1", training=training))
    student = result.results.row("student")
    assert student is not None and student.metric is not None


def write_deep(folder: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 65_535, (20, 20), dtype=np.uint16)
    Image.fromarray(pixels).save(folder / "train" / "red" / "0.png")


def test_an_image_that_would_become_white_is_refused(made: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^dataset.image: row .* has more than 8 bits a channel \(mode I;16\)"):
        prepare(of_a_copy(made, tmp_path, write_deep), tmp_path)


def test_images_of_several_sizes_are_refused_where_the_processor_leaves_them_so(
    made: dict[str, Any], tmp_path: Path
) -> None:
    config = of_a_teacher(made, tmp_path, changed(do_resize=False))
    odd = {"train": "becomes 31 x 31: a batch holds one size", "test": "cannot compute an example of the data"}
    for split, message in odd.items():
        images = tmp_path / split
        for number in range(30):
            file = images / ("test" if number % 3 else "train") / COLOURS[number % 2] / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            make_image("red", number, 16).save(file)
        for file in [*(images / split).rglob("*.png")][: 1 if split == "train" else None]:
            make_image("red", 1, 31).save(file)
        data = {**made["dataset"], "data_dir": str(images)}
        with pytest.raises(MinidiscError, match=message):
            prepare(
                validate(CompressionConfig, {**config.model_dump(exclude_none=True), "dataset": data}),
                tmp_path,
            )


def test_a_model_without_a_loss_is_refused(made: dict[str, Any], tmp_path: Path) -> None:
    teacher = tmp_path / "teacher"
    settings = {
        name: getattr(make_vit().config, name) for name in ("hidden_size", "image_size", "patch_size", "id2label")
    }
    DeiTForImageClassificationWithTeacher(
        DeiTConfig(num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, **settings)
    ).save_pretrained(teacher)
    make_processor().save_pretrained(teacher)
    with pytest.raises(
        ConfigError, match=r"^model: .* is a DeiTForImageClassificationWithTeacher, which gives no loss"
    ):
        prepare(config_of(made, tmp_path, model=str(teacher)), tmp_path)


def write_nothing(folder: Path) -> None:
    (folder / "train" / "red" / "0.png").write_bytes(b"")


def cut(folder: Path) -> None:
    file = folder / "train" / "red" / "0.png"
    file.write_bytes(file.read_bytes()[:150])


def write_text(folder: Path) -> None:
    (folder / "test" / "red" / "0.png").write_text("no image", encoding="utf-8")


@pytest.mark.parametrize("change", [write_nothing, cut, write_text])
def test_a_file_that_is_no_image_is_named(change: Callable[[Path], None], made: dict[str, Any], tmp_path: Path) -> None:
    message = r"row \d+ .* cannot be read: .*red/0.png is no image: .*leave it out"
    with pytest.raises(DataError, match=f"^dataset.image: {message}"):
        prepare(of_a_copy(made, tmp_path, change), tmp_path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["gone.png"], "row 0 .* cannot be read: gone.png is not there"),
        ([""], "row 0 .* has none"),
        ([3], "holds Value.*, and no images; give images, their bytes, or paths of their files"),
    ],
)
def test_a_column_without_images_is_refused(
    rows: list[Any], message: str, made: dict[str, Any], tmp_path: Path
) -> None:
    files = {split: str(tmp_path / f"{split}.jsonl") for split in ("train", "test")}
    for file in files.values():
        lines = [json.dumps({"image": row, "label": "red"}) for row in rows * 6]
        Path(file).write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError, match=f"^dataset.image: .*{message}"):
        prepare(config_of(made, tmp_path, dataset={"path": "json", "data_files": files}), tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": {"path": "imagefolder", "text": "image"}}, "dataset.text: .* reads images; remove it"),
        (
            {"dataset": {"path": "csv", "text": "a", "image": "x"}, "task": "text-classification"},
            "dataset.image: 'x' is for",
        ),
        ({"task": "text-classification", "dataset": {"path": "csv"}}, "dataset.text: missing; add it"),
        ({"max_length": 64}, "max_length: 64 is for texts"),
        ({"engine": {"tokens_per_batch": 99}}, "engine.tokens_per_batch: 99 is for texts"),
        ({"engine": {"padding": "max_length"}}, "engine.padding: max_length is for texts"),
        ({"distillation": {"augment": 1}}, "distillation.augment: 1 alters texts"),
        ({"training": {"group_by_length": True}}, "training.group_by_length: True is for texts"),
        (
            {"training": {"train_sampling_strategy": "group_by_length"}},
            "training.train_sampling_strategy: .* is for texts",
        ),
    ],
)
def test_keys_about_texts_are_refused(
    changes: dict[str, Any], message: str, made: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        prepare(config_of(made, tmp_path, **changes), tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "preprocessor_config.json").unlink(), "tokenizer: .* has no image processor"),
        (lambda folder: (folder / "preprocessor_config.json").write_text("{"), "tokenizer: .* not valid JSON"),
        (changed(image_processor_type="Nothing"), "tokenizer: .* cannot be loaded: Unrecognized image processor"),
        (changed(size={"height": 32, "width": 32}), "model: .* cannot compute the first examples .*image processor"),
    ],
)
def test_an_image_processor_that_does_not_fit_is_refused(
    change: Callable[[Path], Any], message: str, made: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(MinidiscError, match=f"^{message}"):
        prepare(of_a_teacher(made, tmp_path, change), tmp_path)


def test_outputs_are_kept_of_images_that_stay_as_they_are(made: dict[str, Any], tmp_path: Path) -> None:
    """Of augmented ones no length would tell that kept outputs are another image's."""
    prepared = prepare(config_of(made, tmp_path), tmp_path)
    objective = MiniDiscObjective(DistillationConfig(), regression=False)
    asked = Asked(True, objective.compared_states, None)
    plain = ImageCollator(prepared.processor, "RGB")
    rows = prepared.splits.train.select(range(20))
    kept = TeacherStore(tmp_path / "kept", 2**30).cache(
        prepared.teacher, Examples(rows, plain, 8, prepared.task), asked, required=True, quiet=True
    )
    assert kept is not None and kept.tokens == 5  # four patches, and the one that classifies
    batch = plain([rows[row] for row in (3, 17)])
    with torch.no_grad():
        wanted = prepared.teacher(pixel_values=batch[PIXELS], output_hidden_states=True)
    found = kept.read([3, 17], torch.ones(2, kept.tokens))
    assert torch.allclose(found.logits, wanted.logits, atol=1e-5)
    assert torch.allclose(found.hidden_states[-1], wanted.hidden_states[-1], atol=5e-3)
    chance = np.random.default_rng(0)

    def turned(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, PIXELS: row[PIXELS].transpose(Image.Transpose.FLIP_LEFT_RIGHT)}

    def flipped(rows: list[Any]) -> Any:
        turned = [row[PIXELS].transpose(Image.Transpose.FLIP_LEFT_RIGHT) for row in rows]
        return plain(
            [{**row, PIXELS: image} if chance.random() < 0.5 else row for row, image in zip(rows, turned, strict=True)]
        )

    with pytest.raises(DataError, match="change from epoch to epoch"):
        TeacherStore(tmp_path / "other", 2**30).cache(
            prepared.teacher, Examples(rows, flipped, 8, prepared.task), asked, required=True, quiet=True
        )
    kept.close()
