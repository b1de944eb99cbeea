"""Checksums of files, models, datasets and tokenizers: how a run knows that what it goes on with is what it was."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel

# Of a model's config: where it was loaded from and by which release says nothing about what it computes.
_NOT_OF_THE_MODEL = ("_name_or_path", "transformers_version")


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def damage_of(file: Path, digest: str) -> str | None:
    """What is wrong with a file that had this SHA-256: "missing" or "damaged"; None where nothing is."""
    if not file.is_file():
        return "missing"
    return None if sha256_of(file) == digest else "damaged"


def digest_of_model(model: PreTrainedModel) -> str:
    """Of a model's weights, its class and its config; not of the folder that it came from."""
    import torch

    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    config = {name: value for name, value in model.config.to_dict().items() if name not in _NOT_OF_THE_MODEL}
    digest.update(json.dumps([type(model).__name__, config], sort_keys=True, default=str).encode())
    return digest.hexdigest()


def digest_of_dataset(*datasets: Dataset | None) -> str:
    """Of the columns and rows of datasets, in order; not of the files that they came from."""
    import pyarrow

    digest = hashlib.sha256()
    for dataset in datasets:
        if dataset is None:
            continue
        for table in dataset.with_format("arrow").iter(batch_size=1000):
            plain = table.combine_chunks().replace_schema_metadata(None)
            sink = pyarrow.BufferOutputStream()
            with pyarrow.ipc.new_stream(sink, plain.schema) as stream:
                stream.write_table(plain)
            digest.update(sink.getvalue())
    return digest.hexdigest()


def digest_of_tokenizer(tokenizer: Any) -> str:
    """Of everything that decides how a tokenizer cuts and pads a text."""
    core = getattr(tokenizer, "backend_tokenizer", None)
    known = json.loads(core.to_str()) if core is not None else sorted(tokenizer.get_vocab().items())
    if isinstance(known, dict):  # how the last call cut and padded; each call says anew
        known |= {"truncation": None, "padding": None}
    says = [type(tokenizer).__name__, known, tokenizer.special_tokens_map, tokenizer.padding_side]
    return hashlib.sha256(json.dumps(says, sort_keys=True, default=str).encode()).hexdigest()
