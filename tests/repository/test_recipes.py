"""docs/recipes.md: its code runs as it stands, and brings the student nearer to the assistant."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import minidisc_plugin
from tests.builders.tiny import make_run_files
from tests.repository.test_docs import ROOT, blocks, code_of
from tests.tasks.making import make_task_run

PAGE = ROOT / "docs" / "recipes.md"
SET_UPS = ("Choosing for a classifier", "Choosing for a causal language model")
CLASSIFIER, LANGUAGE = SET_UPS
# What a recipe comes after, and the packages that it needs.
RECIPES = {
    "transformers": (CLASSIFIER, ()),
    "Model-Optimizer": (CLASSIFIER, ("modelopt",)),
    "Model-Optimizer's KDTrainer": (LANGUAGE, ("modelopt",)),
    "TRL": (LANGUAGE, ("trl",)),
    "torchao": (CLASSIFIER, ("torchao",)),
}
Namespace = dict[str, Any]


def parts() -> dict[str, list[str]]:
    """The Python blocks under each second-level heading."""
    _, *found = PAGE.read_text(encoding="utf-8").split("\n## ")
    return {part.partition("\n")[0]: blocks(part, "python") for part in found}


def run(name: str, namespace: Namespace, folder: Path) -> Namespace:
    """Run the blocks of a part in a folder, on top of a namespace that is left as it is."""
    namespace = dict(namespace)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        for block in parts()[name]:
            exec(code_of(block, name), namespace)
    return namespace


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Namespace, Path]]:
    """Each of the two parts that choose, run once, and the folder in which it was."""
    made: dict[str, tuple[Namespace, Path]] = {}

    def choose(name: str) -> tuple[Namespace, Path]:
        if name not in made:
            folder = tmp_path_factory.mktemp("recipes")
            if name == CLASSIFIER:
                make_run_files(folder)
            else:
                make_task_run(folder, "text-generation", "llama", "bits_saved")
                teacher = (folder / "teacher").rename(folder / "language-teacher")
                tokenizer = AutoTokenizer.from_pretrained(teacher)
                tokenizer.eos_token = "[SEP]"  # as that of any language model has
                tokenizer.save_pretrained(teacher)
            made[name] = run(name, {"__name__": "document"}, folder), folder
        return made[name]

    return choose


def distance(student: Any, namespace: Mapping[str, Any]) -> float:
    """Mean divergence of a student's predictions from the assistant's, over the test split, in nats."""
    assistant, tokenizer = namespace["schedule"].assistant.eval(), namespace["tokenizer"]
    rows = [{key: row[key] for key in ("input_ids", "attention_mask")} for row in namespace["data"]["test"]]
    batch = tokenizer.pad(rows, return_tensors="pt")
    with torch.no_grad():
        # A Trainer leaves what it trained on its device.
        given, wanted = (model.cpu().eval()(**batch).logits.log_softmax(-1) for model in (student, assistant))
    apart = functional.kl_div(given, wanted, reduction="none", log_target=True).sum(-1)
    if apart.ndim > 1:  # a language model's: real tokens only
        apart = apart[batch["attention_mask"].bool()]
    return float(apart.mean())


def test_each_part_is_a_recipe_or_chooses() -> None:
    assert parts().keys() == {*SET_UPS, *RECIPES}
    assert all(parts().values())
    text = PAGE.read_text(encoding="utf-8")
    for name in RECIPES:
        body = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        assert body.lstrip().startswith("For "), "what it is good for"
        assert "\nLimits: " in body


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_brings_the_student_nearer(name: str, chosen: Callable[[str], tuple[Namespace, Path]]) -> None:
    before, packages = RECIPES[name]
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package}")
    namespace, folder = chosen(before)
    sliced = namespace["schedule"].student
    start = distance(sliced, namespace)
    weights = copy.deepcopy(sliced.state_dict())
    if name == "torchao":
        check_8_bits(namespace, folder)
        return
    done = run(name, namespace, folder)
    end = distance(done["student"], namespace)
    print(f"\n{name}: divergence from the assistant {start:.4f} -> {end:.4f}")
    if name == "TRL":  # what it compares is what the student writes, not the texts of the test split
        start, *_, end = (entry["loss"] for entry in done["trainer"].state.log_history if "loss" in entry)
        print(f"{name}: on the student's own writing {start:.4f} -> {end:.4f}")
    assert end < 0.9 * start
    for key, weight in sliced.state_dict().items():
        assert torch.equal(weight, weights[key]), "a recipe takes a copy, so that the next starts where it started"
    saved = minidisc_plugin.load(folder / "student")
    assert saved.config.layer_sizes == sliced.config.layer_sizes
    assert distance(saved, namespace) == pytest.approx(distance(done["student"], namespace), rel=1e-3)
    assert (folder / "student" / "tokenizer.json").is_file()


def check_8_bits(namespace: Namespace, folder: Path) -> None:
    """Of the student as it was cut, saved where the page's own student would be."""
    sliced = namespace["schedule"].student.eval()
    sliced.save_pretrained(folder / "student")
    made = run("torchao", namespace, folder)["in_8_bits"].eval()
    batch = namespace["tokenizer"](["good word1 word2", "bad word3"], padding=True, return_tensors="pt")
    with torch.no_grad():
        off = (made(**batch).logits - sliced(**batch).logits).abs().max()
    print(f"\ntorchao: logits of 8 bits are {off:.4f} off")
    assert 0 < off < 0.1
    again = AutoModelForSequenceClassification.from_pretrained(folder / "student-int8", trust_remote_code=True).eval()
    with torch.no_grad():
        assert torch.equal(again(**batch).logits, made(**batch).logits)
