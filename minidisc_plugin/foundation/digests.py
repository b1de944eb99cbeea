"""Checksums of files, models, datasets and processors: how a run knows that what it goes on with is what it was."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidisc_plugin.foundation.model_files.processor_saving import save_processor, tokenizer_of
from minidisc_plugin.foundation.model_files.quiet import quiet

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel

# Of a model's config: where it was loaded from and by which release says nothing about what it computes.
_NOT_OF_THE_MODEL = ("_name_or_path", "transformers_version")
# Of a tokenizer's: where it was loaded from.
_NOT_OF_THE_TOKENIZER = {
    *("name_or_path", "is_local", "local_files_only", "tokenizer_file", "special_tokens_map_file"),
    *_NOT_OF_THE_MODEL,
}
# Read from the class where no file says them, and so not always saved.
_SETTINGS = ("padding_side", "truncation_side", "model_max_length", "model_input_names", "clean_up_tokenization_spaces")


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


def digest_of_plain(value: Any) -> str:
    """SHA-256 of mappings, lists, texts and numbers; the order of keys makes no difference."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def digest_of_model(model: PreTrainedModel) -> str:
    """Of a model's weights, its class and its config; not of the folder that it came from."""
    digest = _weights_of(model)
    config = {name: value for name, value in model.config.to_dict().items() if name not in _NOT_OF_THE_MODEL}
    digest.update(json.dumps([type(model).__name__, config], sort_keys=True, default=str).encode())
    return digest.hexdigest()


def digest_of_weights(model: PreTrainedModel) -> str:
    """Of a model's weights alone: its config takes notes of what the model was used for."""
    return _weights_of(model).hexdigest()


def _weights_of(model: PreTrainedModel) -> hashlib._Hash:
    import torch

    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest


def digest_of_dataset(*datasets: Dataset | None) -> str:
    """Of the columns and rows of datasets, in order; not of the files that they came from."""
    import pyarrow
    from datasets.table import embed_table_storage

    digest = hashlib.sha256()
    for dataset in datasets:
        if dataset is None:
            continue
        for table in dataset.with_format("arrow").iter(batch_size=1000):
            # Of an image that lies in a file, the file.
            plain = embed_table_storage(table).combine_chunks().replace_schema_metadata(None)
            sink = pyarrow.BufferOutputStream()
            with pyarrow.ipc.new_stream(sink, plain.schema) as stream:
                stream.write_table(plain)
            digest.update(sink.getvalue())
    return digest.hexdigest()


def digest_of_processor(processor: Any) -> str:
    """Of a tokenizer, or another processor: all that is saved, its class, and settings that decide how a text is cut.

    Raises:
        OSError: there is no room for a copy in the folder of temporary files.
    """
    digest = hashlib.sha256()
    settings = {name: getattr(tokenizer_of(processor), name, None) for name in _SETTINGS}
    digest.update(json.dumps([type(processor).__name__, settings], sort_keys=True, default=str).encode())
    with tempfile.TemporaryDirectory() as scratch:
        with quiet():
            save_processor(processor, Path(scratch))
        for file in sorted(path for path in Path(scratch).rglob("*") if path.is_file()):
            digest.update(json.dumps([file.relative_to(scratch).as_posix(), _content(file)], sort_keys=True).encode())
    return digest.hexdigest()


def _content(file: Path) -> Any:
    """What a file says: JSON without places and empty keys, which releases add; the checksum of anything else."""
    if file.suffix != ".json":
        return sha256_of(file)
    content = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        return content
    return {
        name: value
        for name, value in content.items()
        if name not in _NOT_OF_THE_TOKENIZER and value not in (None, [], {})
    }


def digest_of_tokenizer_before(tokenizer: Any) -> str:
    """As run.json had it before `digest_of_processor` told of all that is saved; runs begun then are resumed by it."""
    core = getattr(tokenizer, "backend_tokenizer", None)
    known = json.loads(core.to_str()) if core is not None else sorted(tokenizer.get_vocab().items())
    if isinstance(known, dict):  # how the last call cut and padded; each call says anew
        known |= {"truncation": None, "padding": None}
    says = [type(tokenizer).__name__, known, tokenizer.special_tokens_map, tokenizer.padding_side]
    return digest_of_plain(says)
