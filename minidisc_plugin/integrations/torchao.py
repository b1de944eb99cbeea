"""8 bits by torchao, as transformers saves and loads them: the model stays one of torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minidisc_plugin.foundation.atomic import atomic_folder
from minidisc_plugin.foundation.model_files.quiet import quiet
from minidisc_plugin.integrations.hosts import require
from minidisc_plugin.nested import checkpoint
from minidisc_plugin.plugins import families

OPENED = """
def opened(folder):
    import transformers
    return transformers.{auto_class}.from_pretrained(folder, trust_remote_code=True).eval()
"""
"""Python that loads it without this package, where the Auto class is filled in."""


def unable(model: Any) -> str:
    """Why transformers cannot quantize such a model by torchao; empty where it can."""
    try:
        model.get_input_embeddings()
    except NotImplementedError:
        return f"transformers asks torchao's models for their input embeddings, and {model.config.model_type} has none"
    return ""


def quantize(source: Path, folder: Path) -> None:
    """Write the saved model in `source` with the weights of its linear layers in 8 bits.

    Raises:
        HostError: torchao or transformers cannot work.
    """
    require("torch_bits", "torchao")
    from torchao.quantization import Int8WeightOnlyConfig
    from transformers import TorchAoConfig

    with atomic_folder(folder) as temporary, quiet():
        model = checkpoint.load(source, families(), quantization_config=TorchAoConfig(Int8WeightOnlyConfig()))
        model.save_pretrained(temporary)


def load(folder: Path) -> Any:
    """A model that `quantize` wrote."""
    from transformers import AutoConfig

    with quiet():
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        kind = checkpoint.class_for(config.architectures[0], config, families())
        return kind.from_pretrained(folder).eval()
