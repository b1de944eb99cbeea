"""Ways in which a teacher's folder may be broken, each with what must be said of it."""

from __future__ import annotations

import json
import os
import pickle
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


def _lora(name: str) -> str:
    return "base_model.model." + name.replace("query.weight", "query.base_layer.weight")


T5 = '{"tokenizer_class": "T5Tokenizer"}'
NAMES = {"0": "a", "1": "b", "2": "c"}
QUANTIZED = "is quantized (quantization_config"
UNQUANTIZED = "give the unquantized teacher"
LORA = "merge it first with peft's merge_and_unload()"
OTHER = "give the model in torch's format"
MODELS: dict[str, tuple[Break, tuple[str, ...]]] = {
    "weights are a pointer": (file(WEIGHTS, POINTER), (f"{WEIGHTS} is a Git LFS pointer", "git lfs pull")),
    "config is a pointer": (file(CONFIG, POINTER), (f"{CONFIG} is a Git LFS pointer", "git lfs pull")),
    "pickle is a pointer": (both(file(WEIGHTS, None), file(BIN, POINTER)), (f"{BIN} is a Git LFS pointer",)),
    "weights empty": (file(WEIGHTS, b""), (f"{WEIGHTS} is empty", "fetch or save")),
    "weights cut": (cut(WEIGHTS, 9000), (f"{WEIGHTS} is cut or damaged", "fetch or save")),
    "weights cut in the header": (cut(WEIGHTS, 100), (f"{WEIGHTS} is cut or damaged",)),
    "weights of zeros": (file(WEIGHTS, bytes(20000)), (f"{WEIGHTS} is filled with zeros",)),
    "weights of garbage": (file(WEIGHTS, b"\xfe\xdc" * 999), (f"{WEIGHTS} is cut or damaged",)),
    "weights are a page": (file(WEIGHTS, b"<!DOCTYPE html><html>"), (f"{WEIGHTS} is a web page",)),
    "weights too long": (
        lambda folder: (folder / WEIGHTS).open("ab").write(bytes(64)),
        (f"{WEIGHTS} is cut or damaged",),
    ),
    "no data behind the header": (zeros_from(0.0), ("is all zeros", "fetch or save")),
    "tensors of TensorFlow": (labelled("tf"), (f"{WEIGHTS} holds weights of the format 'tf'", "torch's format")),
    "tensors of nobody": (labelled("np"), (f"{WEIGHTS} holds weights of the format 'np'",)),
    "half of the data": (zeros_from(0.5), ("is all zeros", "not written to its end")),
    "weights are a folder": (folder_of(WEIGHTS), (f"{WEIGHTS} is a folder",)),
    "weights are a broken link": (dangling, (f"{WEIGHTS} is a link to a file that is not there",)),
    "no weights": (file(WEIGHTS, None), ("has no weights (model.safetensors)", "save_pretrained")),
    "shard missing": (shard(Path.unlink), ("model-00002-of-", "is missing", INDEX)),
    "shard cut": (shard(lambda each: os.truncate(each, 300)), ("model-00002-of-", "is cut or damaged")),
    "shard is a pointer": (shard(lambda each: each.write_bytes(POINTER)), ("model-00002-of-", "Git LFS pointer")),
    "index is no object": (index(lambda places: []), (f"{INDEX} holds a list",)),
    "index without a map": (index(lambda places: {"metadata": {}}), (f"{INDEX} has no usable `weight_map`",)),
    "index with an empty map": (index(lambda places: {"weight_map": {}}), (f"{INDEX} has no usable `weight_map`",)),
    "index of numbers": (index(lambda places: places.update(a=1)), (f"{INDEX} has no usable `weight_map`",)),
    "index that leads outside": (index(lambda places: places.update(a="../x")), ("has no usable `weight_map`",)),
    "index that lacks a tensor": (index(lambda places: places.pop("classifier.bias") and None), ("classifier.bias",)),
    "index with one more tensor": (
        index(lambda places: places.update({"a.b": places["classifier.bias"]})),
        ("do not belong together (a.b",),
    ),
    "index cut": (both(shards, cut(INDEX, 50)), (f"{INDEX}: not valid JSON",)),
    "pickle cut": (both(pickled(), cut(BIN, 9000)), (f"{BIN} is cut or damaged",)),
    "pickle empty": (both(pickled(), file(BIN, b"")), (f"{BIN} is empty",)),
    "pickle of garbage": (both(pickled(), file(BIN, b"\x13\x37" * 500)), (BIN, "save")),
    "pickle of a list": (pickled(lambda held: [1, 2]), (f"{BIN} holds a list", "save_pretrained")),
    "pickle of a training state": (
        pickled(lambda held: {"state_dict": held, "epoch": 3}),
        (f"{BIN} holds a mapping with state_dict, epoch", "save_pretrained"),
    ),
    "pickle of numbers": (pickled(lambda held: dict.fromkeys(held, 3)), (f"{BIN} holds a mapping",)),
    "pickle of nothing": (pickled(lambda held: {}), (f"{BIN} holds no tensor",)),
    "pickle of a module": (pickled(lambda held: torch.nn.Linear(2, 2)), (BIN, "nothing else is read from a pickle")),
    "pickle of an object": (pickled(lambda held: {**held, "at": Path("x")}), (BIN, "nothing else is read")),
    "pickle of code": (
        both(file(WEIGHTS, None), file(BIN, pickle.dumps(Printed()))),
        (BIN, "nothing else is read from a pickle"),
    ),
    "names of DDP": (renamed("module.{}".format), ("begin with 'module.'", "model.module.save_pretrained")),
    "names of torch.compile": (renamed("_orig_mod.{}".format), ("begin with '_orig_mod.'", "torch.compile")),
    "names of both": (renamed("module._orig_mod.{}".format), ("begin with 'module._orig_mod.'",)),
    "names of a wrapper": (renamed("model.{}".format), ("begin with 'model.'", "rename")),
    "names of PEFT": (renamed("base_model.model.{}".format), ("begin with 'base_model.model.'", "PEFT")),
    "names of an adapter": (renamed(_lora), ("have an adapter between them", LORA)),
    "names of another model": (renamed("encoder_{}".format), ("lacks bert.embeddings.LayerNorm.bias",)),
    "NaN in a weight": (replaced(f"{LAYER}.weight", float("nan")), (f"{LAYER}.weight", "not finite")),
    "infinity in a bias": (replaced(f"{LAYER}.bias", float("-inf")), (f"{LAYER}.bias", "not finite")),
    "NaN in the head": (replaced("classifier.bias", float("nan")), ("classifier.bias", "not finite")),
    "no head": (without("classifier.weight", "classifier.bias"), ("lacks classifier.bias", "not fine-tuned for task")),
    "half a head": (without("classifier.bias"), ("lacks classifier.bias",)),
    "one weight missing": (without(f"{LAYER}.weight"), (f"lacks {LAYER}.weight", "save_pretrained")),
    "no pooler": (without("bert.pooler.dense.weight"), ("lacks bert.pooler.dense.weight",)),
    "one weight too many": (
        tensors(lambda held: {**held, f"{LAYER}.gate": torch.ones(2)}),
        (f"hold {LAYER}.gate", "config.json leaves out"),
    ),
    "weights in int8": (
        replaced(f"{LAYER}.weight", torch.ones(32, 64, dtype=torch.int8)),
        (f"{LAYER}.weight is kept as I8", UNQUANTIZED),
    ),
    "weights in float8": (
        replaced(f"{LAYER}.weight", torch.ones(32, 64).to(torch.float8_e4m3fn)),
        (f"{LAYER}.weight is kept as F8_E4M3", UNQUANTIZED),
    ),
    "head of three classes": (
        replaced("classifier.weight", torch.ones(3, 32)),
        ("classifier.weight is 3 x 32", "it is 2 x 32 (id2label names 2 classes, and the head has 3)"),
    ),
    "names of three classes": (
        config(id2label=NAMES, label2id={name: int(at) for at, name in NAMES.items()}),
        ("id2label names 3 classes, and the head has 2",),
    ),
    "classes with a gap": (config(id2label={"0": "a", "2": "b"}), ("id2label", "without a gap, and has 0, 2")),
    "classes by name": (config(id2label={"a": 0, "b": 1}), ("id2label", "and has a, b")),
    "classes as a list": (config(id2label=["a", "b"]), ("id2label", "and has ['a', 'b']")),
    "classes empty": (config(id2label={}), ("id2label", "and has {}")),
    "another width": (config(hidden_size=64), ("is 32, and by config.json it is 64 (hidden_size", "64)")),
    "another vocabulary": (config(vocab_size=20), ("word_embeddings.weight is 53 x 32", "(vocab_size: 20)")),
    "other neurons": (config(intermediate_size=48), ("is 64, and by config.json it is 48 (intermediate_size: 48)",)),
    "other positions": (config(max_position_embeddings=16), ("is 32 x 32", "(max_position_embeddings: 16)")),
    "other types": (config(type_vocab_size=5), ("is 2 x 32", "(type_vocab_size: 5)")),
    "more layers": (config(num_hidden_layers=3), ("lacks bert.encoder.layer.2.", "config.json asks for")),
    "fewer layers": (config(num_hidden_layers=1), ("hold bert.encoder.layer.1.", "config.json leaves out")),
    "heads that do not divide": (config(num_attention_heads=3), ("config.json describes no", "heads (3)")),
    "width in words": (config(type_vocab_size="two"), ("type_vocab_size in config.json is 'two'",)),
    "an activation of no kind": (config(hidden_act="gelly"), ("config.json describes no", "gelly")),
    "padding outside": (config(pad_token_id=10**6), ("config.json describes no", "adding_idx")),
    "padding in words": (config(pad_token_id="[PAD]"), ("save_pretrained",)),
    "dropout of five": (config(hidden_dropout_prob=5), ("config.json describes no", "dropout")),
    "a type of no kind": (config(torch_dtype="float12", dtype="float12"), ("cannot be loaded", "float12")),
    "a problem of no kind": (config(problem_type="clustering"), ("problem_type in config.json is 'clustering'",)),
    "config missing": (file(CONFIG, None), ("has no config.json", "give the one that its weights were saved with")),
    "config empty": (file(CONFIG, ""), ("config.json is empty",)),
    "config cut": (cut(CONFIG, 80), ("config.json: not valid JSON",)),
    "config of YAML": (file(CONFIG, "model_type: bert"), ("config.json: not valid JSON",)),
    "config of bytes": (file(CONFIG, b"\xff\xfe\x00\x01"), ("config.json: not valid JSON",)),
    "config without a bottom": (file(CONFIG, "[" * 100_000), ("config.json: not valid JSON",)),
    "config of endless digits": (file(CONFIG, f'{{"hidden_size": {"9" * 5000}}}'), ("a number of 5000 digits",)),
    "a key that is computed": (config(use_return_dict=False), ("config.json sets use_return_dict, which is computed",)),
    "config is a list": (file(CONFIG, "[]"), ("config.json holds a list",)),
    "config is null": (file(CONFIG, "null"), ("config.json holds null",)),
    "config is a folder": (folder_of(CONFIG), ("config.json is a folder",)),
    "config says nothing": (file(CONFIG, "{}"), ("config.json has no model_type", "save_pretrained")),
    "no model_type": (config(model_type=None), ("config.json has no model_type",)),
    "model_type misspelt": (config(model_type="bertt"), ("model_type 'bertt'", "did you mean 'bert'?")),
    "model_type a list": (config(model_type=["bert"]), ("model_type: ['bert'], not a name",)),
    "model_type of others": (config(model_type="roberta"), ("'roberta'", "do not belong together")),
    "no architectures": (config(architectures=None), ("config.json has no architectures", "save_pretrained")),
    "architectures null": (config(architectures=...), ("config.json has no architectures",)),
    "architectures a number": (config(architectures=[3]), ("architectures: [3], not a list of class names",)),
    "architectures unknown": (config(architectures=["MyBert"]), ("'MyBert' is not a class of transformers",)),
    "architectures of others": (
        config(architectures=["RobertaForSequenceClassification"]),
        ("do not belong together", "give the config"),
    ),
    "code of its own": (
        config(model_type="mine", auto_map={"AutoConfig": "conf.Mine"}),
        ("needs code of its own", "set trust_remote_code: true"),
    ),
    **{
        f"quantized by {method}": (
            config(quantization_config={"quant_method": method, "bits": 4}),
            (f"{QUANTIZED}: {method}", UNQUANTIZED),
        )
        for method in ("bitsandbytes", "gptq", "awq", "torchao", "fp8", "compressed-tensors", "nobody")
    },
    "quantized, not said how": (config(quantization_config={"load_in_8bit": True}), (QUANTIZED, UNQUANTIZED)),
    "compressed": (config(compression_config={"quant_method": "x"}), ("is quantized (compression_config: x",)),
    "adapter alone": (adapter(whole=False), ("an adapter (LORA of 'bert-base-uncased'", LORA)),
    "adapter beside a model": (adapter(whole=True), ("an adapter (LORA", LORA)),
    "adapter without its config": (
        both(adapter(whole=False), file("adapter_config.json", None)),
        ("an adapter (PEFT", LORA),
    ),
    "generation settings broken": (file("generation_config.json", "{"), ("generation_config.json: not valid JSON",)),
    "generation settings are a pointer": (file("generation_config.json", POINTER), ("Git LFS pointer",)),
    "a checkpoint inside": (moved("checkpoint-20"), ("holds checkpoint-20; give '", "checkpoint-20'")),
    "checkpoints inside": (moved("checkpoint-5", "checkpoint-20", "checkpoint-100"), ("checkpoint-100; give",)),
    "a run of ours": (moved("student"), ("has no config.json", "student/ in it has; give '")),
    "nothing inside": (nothing, ("it is empty", "give the folder of a model")),
    "GGUF": (instead("model-q4.gguf"), ("has no weights", "model-q4.gguf is GGUF", OTHER)),
    "GGUF alone": (both(nothing, file("m.gguf", b"GGUF")), ("has no config.json", "m.gguf is GGUF", OTHER)),
    "ONNX": (instead("model.onnx"), ("model.onnx is ONNX", OTHER)),
    "OpenVINO": (instead("openvino_model.xml"), ("openvino_model.xml is OpenVINO", OTHER)),
    "TensorFlow": (instead("tf_model.h5"), ("tf_model.h5 is TensorFlow", OTHER)),
    "Flax": (instead("flax_model.msgpack"), ("flax_model.msgpack is Flax", OTHER)),
    "another name": (instead("model.fp16.safetensors"), ("model.fp16.safetensors is", OTHER)),
    "a training state": (instead("optimizer.pt"), ("has no weights", "save_pretrained")),
}

MASKLESS = ("gives no attention_mask, so padding would count as text; add it to model_input_names in its",)

TOKENIZERS: dict[str, tuple[Break, tuple[str, ...]]] = {
    "none": (no_tokenizer, ("has no tokenizer files", "set tokenizer: to a folder that has it")),
    "no vocabulary": (file(VOCABULARY, None), ("has no tokenizer files",)),
    "vocabulary is a pointer": (file(VOCABULARY, POINTER), (f"{VOCABULARY} is a Git LFS pointer", "git lfs pull")),
    "settings are a pointer": (file(SETTINGS, POINTER), (f"{SETTINGS} is a Git LFS pointer",)),
    "pieces are a pointer": (
        both(no_tokenizer, file(SETTINGS, T5), file("spiece.model", POINTER)),
        ("spiece.model is a Git LFS pointer",),
    ),
    "pieces of garbage": (
        both(
            no_tokenizer, file(SETTINGS, '{"tokenizer_class": "T5Tokenizer"}'), file("spiece.model", b"\x13\x37" * 99)
        ),
        ("cannot be loaded",),
    ),
    "vocabulary empty": (file(VOCABULARY, ""), (f"{VOCABULARY} is empty",)),
    "words empty": (both(no_tokenizer, file("vocab.txt", "")), ("vocab.txt is empty",)),
    "vocabulary cut": (cut(VOCABULARY, 300), (f"{VOCABULARY}: not valid JSON",)),
    "vocabulary a list": (file(VOCABULARY, "[]"), (f"{VOCABULARY} holds a list",)),
    "vocabulary says nothing": (file(VOCABULARY, "{}"), ("cannot be loaded", "save it again")),
    "vocabulary of bytes": (file(VOCABULARY, b"\xff\xfe\x00\x01"), (f"{VOCABULARY}: not valid JSON",)),
    "settings empty": (file(SETTINGS, ""), (f"{SETTINGS} is empty",)),
    "settings a list": (file(SETTINGS, "[]"), (f"{SETTINGS} holds a list",)),
    "a class of another kind": (settings(tokenizer_class="WhisperTokenizer"), ("54 tokens but the model embeds 53",)),
    "a class that needs more": (settings(tokenizer_class="BertJapaneseTokenizer"), ("cannot be loaded",)),
    "a class in numbers": (settings(tokenizer_class=3), ("cannot be loaded",)),
    "padding in numbers": (settings(pad_token=3), ("cannot be loaded", "pad_token")),
    "no padding": (settings(pad_token=None), ("has no padding token",)),
    "no mask": (settings(model_input_names=["input_ids", "token_type_ids"]), MASKLESS),
    "input ids alone": (settings(model_input_names=["input_ids"]), MASKLESS),
    "a mask of another name": (settings(model_input_names=["input_ids", "Attention_Mask"]), MASKLESS),
    **{
        f"names are {names!r}": (settings(model_input_names=names), ("model_input_names", "tokenizer_config.json"))
        for names in ("x", "", [], {}, [1], {"a": None}, ["attention_mask"])
    },
}

# What looks odd and works.
WORKING: dict[str, Break] = {
    "shards": shards,
    "a pickle of weights": pickled(),
    "outputs as a tuple": config(return_dict=False),
    "hidden states asked for": config(output_hidden_states=True),
    "attentions asked for": config(output_attentions=True),
    "a cache asked for": config(use_cache=True),
    "made for torchscript": config(torchscript=True),
    "gradient checkpointing": config(gradient_checkpointing=True),
    "padding left out": config(pad_token_id=...),
    "positions kept": tensors(lambda held: {**held, "bert.embeddings.position_ids": torch.arange(32)[None]}),
    "a pretraining head kept": tensors(lambda held: {**held, "cls.predictions.bias": torch.ones(53)}),
    "weights in float64": tensors(lambda held: {name: value.double() for name, value in held.items()}),
    "other files": both(file("notes.gguf", b"GGUF"), file("model.onnx", b"x")),
}
