"""What may be done to a teacher's folder so that it is broken."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import BertForSequenceClassification

Break = Callable[[Path], object]
WEIGHTS, CONFIG, VOCABULARY, SETTINGS = "model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"
BIN, INDEX = "pytorch_model.bin", "model.safetensors.index.json"
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 438013677\n".encode()
LAYER = "bert.encoder.layer.0.output.dense"


class Printed:
    """What a malicious pickle does when it is loaded."""

    def __reduce__(self) -> Any:
        return print, ("code of a pickle was run",)


def config(**changes: Any) -> Break:
    """Keys of config.json; None removes one, and `...` stands for null."""

    def change(folder: Path) -> None:
        data = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        for key, value in changes.items():
            data.pop(key, None)
            if value is not None:
                data[key] = None if value is ... else value
        (folder / CONFIG).write_text(json.dumps(data), encoding="utf-8")

    return change


def file(name: str, content: bytes | str | None) -> Break:
    """Another content of a file; none removes it."""

    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        if content is not None:
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return change


def cut(name: str, size: int) -> Break:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size])


def tensors(change: Callable[[dict[str, Tensor]], dict[str, Tensor] | None]) -> Break:
    """Other tensors in the file of weights."""

    def rewrite(folder: Path) -> None:
        held = load_file(folder / WEIGHTS)
        save_file(change(held) or held, folder / WEIGHTS, metadata={"format": "pt"})

    return rewrite


def without(*names: str) -> Break:
    return tensors(lambda held: {name: value for name, value in held.items() if name not in names})


def renamed(rename: Callable[[str], str]) -> Break:
    return tensors(lambda held: {rename(name): value for name, value in held.items()})


def replaced(name: str, value: float | Tensor) -> Break:
    """One tensor, or its first number."""

    def change(held: dict[str, Tensor]) -> None:
        if isinstance(value, Tensor):
            held[name] = value
        else:
            held[name].view(-1)[0] = value

    return tensors(change)


def pickled(make: Callable[[dict[str, Tensor]], object] = dict) -> Break:
    """Weights as a pickle, or something else made of them."""

    def change(folder: Path) -> None:
        held = load_file(folder / WEIGHTS)
        (folder / WEIGHTS).unlink()
        torch.save(make(held), folder / BIN)

    return change


def both(*changes: Break) -> Break:
    def change(folder: Path) -> None:
        for each in changes:
            each(folder)

    return change


def shards(folder: Path) -> None:
    model = BertForSequenceClassification.from_pretrained(folder)
    (folder / WEIGHTS).unlink()
    model.save_pretrained(folder, max_shard_size="20KB")


def shard(change: Callable[[Path], object]) -> Break:
    """The second shard, changed."""
    return both(shards, lambda folder: change(sorted(folder.glob("model-*.safetensors"))[1]))


def index(change: Callable[[dict[str, Any]], Any]) -> Break:
    """The index of the shards, changed in place or replaced."""

    def rewrite(folder: Path) -> None:
        shards(folder)
        data = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        made = change(data["weight_map"])
        (folder / INDEX).write_text(json.dumps(data if made is None else made), encoding="utf-8")

    return rewrite


def adapter(whole: bool) -> Break:
    """A LoRA adapter, beside the model or in its place."""

    def change(folder: Path) -> None:
        described = {"peft_type": "LORA", "base_model_name_or_path": "bert-base-uncased", "r": 4}
        (folder / "adapter_config.json").write_text(json.dumps(described), encoding="utf-8")
        save_file({"base_model.model.x.lora_A.weight": torch.ones(2, 2)}, folder / "adapter_model.safetensors")
        if not whole:
            (folder / WEIGHTS).unlink()
            (folder / CONFIG).unlink()

    return change


def moved(*names: str) -> Break:
    """Everything into folders of the folder."""

    def change(folder: Path) -> None:
        inside = list(folder.iterdir())
        for name in names:
            (folder / name).mkdir()
            for each in inside:
                shutil.copy(each, folder / name)
        for each in inside:
            each.unlink()

    return change


def instead(name: str) -> Break:
    """Weights in another format."""
    return both(file(WEIGHTS, None), file(name, b"GGUF" + bytes(64)))


def labelled(made_for: str) -> Break:
    """The same weights, said to be of a format."""

    def change(folder: Path) -> None:
        save_file(load_file(folder / WEIGHTS), folder / WEIGHTS, metadata={"format": made_for})

    return change


def zeros_from(share: float) -> Break:
    """A file of its whole size whose end was never written."""

    def change(folder: Path) -> None:
        data = (folder / WEIGHTS).read_bytes()
        header = 8 + struct.unpack("<Q", data[:8])[0]
        kept = header + int(share * (len(data) - header))
        (folder / WEIGHTS).write_bytes(data[:kept] + bytes(len(data) - kept))

    return change


def no_tokenizer(folder: Path) -> None:
    for name in (VOCABULARY, SETTINGS, "special_tokens_map.json"):
        (folder / name).unlink(missing_ok=True)


def settings(**changes: Any) -> Break:
    def change(folder: Path) -> None:
        data = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        (folder / SETTINGS).write_text(json.dumps(data | changes), encoding="utf-8")

    return change


def dangling(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).symlink_to(folder / "blobs" / "gone")


def folder_of(name: str) -> Break:
    return lambda folder: ((folder / name).unlink(), (folder / name).mkdir())


def nothing(folder: Path) -> None:
    for each in list(folder.iterdir()):
        each.unlink()


def lora(name: str) -> str:
    return "base_model.model." + name.replace("query.weight", "query.base_layer.weight")
