"""A local folder of a model, judged by its files: what is there, and whether a teacher can be read from it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.model_files.broken_file import read_json
from minidisc_plugin.foundation.model_files.sizes import check_sizes
from minidisc_plugin.foundation.model_files.weights import Weight, read_weights, saved_type, weight_file

CONFIG = "config.json"
_ADAPTER = "adapter_config.json"
_GENERATION = "generation_config.json"
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
# What else a model may be kept as: a pattern of names, and what made them.
_OTHER_FORMATS = (
    ("*.gguf", "GGUF"),
    ("openvino_model.xml", "OpenVINO"),
    ("*.onnx", "ONNX"),
    ("*.h5", "TensorFlow"),
    ("*.ckpt*", "TensorFlow"),
    ("flax_model*.msgpack", "Flax"),
    ("rust_model.ot", "Rust"),
    ("pytorch_model_fsdp_*", "FSDP's sharded training state"),
    ("global_step*", "DeepSpeed's sharded training state"),
    ("*.safetensors", "a safetensors file of another name"),
    ("*.pt", "a pickle of another name"),
    ("*.pth", "a pickle of another name"),
    ("*.bin", "a pickle of another name"),
)
_PROBLEMS = (None, "regression", "single_label_classification", "multi_label_classification")
_NOT_WEIGHTS = ("optimizer", "scheduler", "rng_state", "scaler", "training_args", "adapter_model")


@dataclass(frozen=True)
class ModelFolder:
    """A folder whose files hold together.

    Attributes:
        path: Of the folder.
        where: The folder, as a message begins.
        config: What `config.json` holds.
        weights: Every tensor of the files that transformers would load, by its name there.
    """

    path: Path
    where: str
    config: Mapping[str, Any]
    weights: Mapping[str, Weight]

    @property
    def architecture(self) -> str:
        """The class that the weights were saved from."""
        return str(self.config["architectures"][0])

    @property
    def numbers(self) -> int:
        """How many numbers the weights are."""
        return sum(weight.size for weight in self.weights.values())

    @property
    def saved_type(self) -> str:
        """The floating type of most weights, as torch calls it."""
        return saved_type(self.weights)


def read_folder(path: Path, where: str, trusted: bool = False) -> ModelFolder:
    """Read a model's folder, tensors left out.

    Args:
        path: Of the folder.
        where: What a message begins with, such as "model: 'teacher'".
        trusted: Run code that comes with the model.

    Raises:
        ConfigError: it holds no model, a broken one, an adapter, a quantized one, or one in another format.
    """
    if not path.is_dir():
        what = "a file; give the folder that holds it" if path.exists() else "not there; give the folder of a model"
        raise ConfigError(f"{where} is {what}")
    if not (path / CONFIG).exists() and not (path / CONFIG).is_symlink():
        raise ConfigError(f"{where} has no {CONFIG}{_instead(path)}")
    config = read_json(path / CONFIG, where)
    check_config(config, where, trusted)
    if (path / _ADAPTER).exists():
        raise ConfigError(f"{where} {_adapter(path)}")
    if (path / _GENERATION).exists():
        read_json(path / _GENERATION, where)  # transformers would pass over a broken one
    file = weight_file(path)
    if file is None:
        raise ConfigError(f"{where} has no weights (model.safetensors){_instead(path)}")
    weights = read_weights(file, where)
    found = ModelFolder(path, where, config, weights)
    check_sizes(config, where, numbers=found.numbers, tensors=len(weights))
    return found


def cached_folder(name: str, where: str, trusted: bool, *, required: bool = False) -> ModelFolder | None:
    """The folder in which a model of the Hub lies on this machine; None where it is not here whole.

    Args:
        name: On the Hub.
        where: What a message begins with.
        trusted: Run code that comes with the model.
        required: Raise where it is here and broken; else that may be mended by fetching the rest.

    Raises:
        ConfigError: see `required`.
    """
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(name, CONFIG)
    if not isinstance(config, str):
        return None
    try:
        return read_folder(Path(config).parent, where, trusted)
    except ConfigError:
        if required:
            raise
        return None


def check_config(config: Mapping[str, Any], where: str, trusted: bool = False) -> None:
    """Refuse a `config.json` that does not say what the weights are, or says that they are quantized.

    Raises:
        ConfigError: names the key and the remedy.
    """
    again = "save the model again with save_pretrained"
    kind = config.get("model_type")
    if (not isinstance(kind, str) or not kind) and not (trusted and config.get("auto_map")):
        said = "has no model_type" if kind is None else f"says model_type: {kind!r}, not a name"
        raise ConfigError(f"{where}: {CONFIG} {said}, so nothing says what the weights are; {again}")
    named = config.get("architectures")
    if not isinstance(named, list) or not named or not all(isinstance(name, str) and name for name in named):
        said = "has no architectures" if not named else f"says architectures: {named!r}, not a list of class names"
        raise ConfigError(f"{where}: {CONFIG} {said}, so nothing says what the weights are; {again}")
    for key in ("quantization_config", "compression_config"):
        if (quantized := config.get(key)) is not None:
            method = quantized.get("quant_method", "") if isinstance(quantized, Mapping) else ""
            raise ConfigError(
                f"{where} is quantized ({key}{f': {method}' if method else ''} in {CONFIG}), and cannot be trained "
                "further; give the unquantized teacher, and quantize the student with steps: [quantization]"
            )
    if (problem := config.get("problem_type")) not in _PROBLEMS:
        known = ", ".join(filter(None, _PROBLEMS))
        raise ConfigError(f"{where}: problem_type in {CONFIG} is {problem!r}, and must be one of {known}; correct it")
    _check_classes(config.get("id2label"), where)


def _check_classes(names: Any, where: str) -> None:
    """Refuse an `id2label` that leaves a class without a name."""
    if names is None:
        return
    indices = list(map(str, names)) if isinstance(names, Mapping) else []
    if not indices or set(indices) != {str(index) for index in range(len(indices))}:
        raise ConfigError(
            f"{where}: id2label in {CONFIG} must name classes 0, 1, 2 ... without a gap, and has "
            f"{', '.join(indices[:5]) or repr(names)[:60]}; correct it"
        )


def _instead(path: Path) -> str:
    """What a folder holds in place of a model, and what to do about it."""
    if (path / _ADAPTER).exists() or any(path.glob("adapter_model.*")):
        return f": it {_adapter(path)}"
    if found := _checkpoints(path):
        return f", and holds {found[-1].name}; give {str(found[-1])!r}"
    if weight_file(path) is not None:
        return "; give the one that its weights were saved with"
    for pattern, made_by in _OTHER_FORMATS:
        for file in sorted(path.glob(pattern)):
            if not file.name.startswith(_NOT_WEIGHTS):
                return f"; {file.name} is {made_by}: give the model in torch's format, saved with save_pretrained"
    if inner := sorted(file.parent for file in path.glob(f"*/{CONFIG}")):
        return f", and {inner[0].name}/ in it has; give {str(inner[0])!r}"
    if not any(path.iterdir()):
        return ": it is empty; give the folder of a model"
    return "; give a folder that save_pretrained wrote"


def _checkpoints(path: Path) -> list[Path]:
    """Checkpoints of a Trainer in a folder, that of the most steps last."""
    found = [(int(match[1]), inner) for inner in path.iterdir() if (match := _CHECKPOINT.fullmatch(inner.name))]
    return [inner for _, inner in sorted(found) if (inner / CONFIG).exists()]


def _adapter(path: Path) -> str:
    """An adapter, and how it becomes a model."""
    try:
        adapter = read_json(path / _ADAPTER, "") if (path / _ADAPTER).exists() else {}
    except ConfigError:
        adapter = {}
    kind, base = adapter.get("peft_type") or "PEFT", adapter.get("base_model_name_or_path")
    of = f" of {base!r}" if base else ""
    return (
        f"has an adapter ({kind}{of}), not a whole model; merge it first with peft's merge_and_unload(), "
        "save the result with save_pretrained, and give that folder"
    )
