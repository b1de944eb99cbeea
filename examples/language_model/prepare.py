"""Make what the example of language models needs: sentences of reviews, and a small Llama that has read them.

The sentences come from an ordinary Python package, and the teacher is trained from nothing: no hub is asked.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch

DEMO = Path(__file__).parents[1] / "demo" / "prepare.py"
CORPORA = ("movieReviewSnippets", "amazonReviewSnippets")
SPLITS = {"test": 1_000, "validation": 500}
"""Sentences of each; all others are to train on."""
SPECIAL = ("<pad>", "<s>", "</s>")
VOCABULARY = 2_000
LONGEST = 48
SEED = 0
BATCH = 64


def main() -> None:
    """Parse the command line and do what is not done yet."""
    parser = argparse.ArgumentParser(
        description=(
            "(1) DATA: sentences of reviews of films and products, from the source distribution of vadersentiment. "
            "(2) TEACHER: a Llama of four layers and its tokenizer, trained on them from nothing."
        ),
        epilog="Delete a result's folder to have it made again, for example with other options.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), help="folder that gets language-model-data/ and -teacher/"
    )
    parser.add_argument("--archive", type=Path, help="vaderSentiment-3.3.2.tar.gz, if you have it on disk")
    parser.add_argument("--epochs", type=int, default=6, metavar="N", help="of the teacher's training")
    args = parser.parse_args()
    data, teacher = args.runs / "language-model-data", args.runs / "language-model-teacher"
    if data.exists():
        print(f"data: {data} is ready, skipped")
    else:
        write_sentences(data, read_sentences(args.archive))
    if teacher.exists():
        print(f"teacher: {teacher} is ready, skipped")
    else:
        train_teacher(teacher, data, args.epochs)


def read_sentences(archive: Path | None) -> list[str]:
    """Different sentences of the archive, which is fetched with pip where none is given."""
    with tempfile.TemporaryDirectory() as scratch:
        source = archive or demo().download_source(Path(scratch))
        return sorted({sentence for name in CORPORA for sentence, _ in demo().read_ratings(source, name)})


def write_sentences(folder: Path, sentences: list[str]) -> None:
    """Write a CSV file for each split."""
    random.Random(SEED).shuffle(sentences)
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    sizes = {**SPLITS, "train": len(sentences) - sum(SPLITS.values())}
    rest = iter(sentences)
    for split, size in sizes.items():
        with (partial / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["text"], *([next(rest)] for _ in range(size))])
    partial.replace(folder)
    print(f"data: {folder} written, {', '.join(f'{size:,} {split}' for split, size in sizes.items())}")


def make_tokenizer(sentences: list[str]) -> Any:
    """Pieces of words that occur often in the sentences; each text begins and ends with a token of its own."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core.train_from_iterator(
        sentences,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
        ),
    )
    _, start, end = SPECIAL
    ends = [(token, core.token_to_id(token)) for token in (start, end)]
    core.post_processor = processors.TemplateProcessing(single=f"{start} $A {end}", special_tokens=ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=SPECIAL[0],
        bos_token=start,
        eos_token=end,
        model_input_names=["input_ids", "attention_mask"],
    )


def train_teacher(folder: Path, data: Path, epochs: int) -> None:
    """Train a teacher and save it with its tokenizer."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(SEED)
    texts = {split: read_csv(data / f"{split}.csv") for split in ("train", "validation")}
    tokenizer = make_tokenizer(texts["train"])
    names = ("pad_token_id", "bos_token_id", "eos_token_id")
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=8,
        max_position_embeddings=2 * LONGEST,
        tie_word_embeddings=True,
        **dict(zip(names, tokenizer.convert_tokens_to_ids(list(SPECIAL)), strict=True)),
    )
    model = LlamaForCausalLM(config)
    steps = epochs * -(-len(texts["train"]) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for epoch in range(epochs):
        for part in torch.randperm(len(texts["train"])).split(BATCH):
            loss = loss_of(model, tokenizer, [texts["train"][place] for place in part])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        with torch.no_grad():
            unseen = loss_of(model, tokenizer, texts["validation"]).exp().item()
        print(f"teacher: epoch {epoch + 1} of {epochs}, perplexity of the validation split {unseen:.1f}", flush=True)
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for made in (model, tokenizer):
        made.save_pretrained(partial)
    partial.replace(folder)
    print(f"teacher: {folder} written")


def loss_of(model: Any, tokenizer: Any, texts: list[str]) -> torch.Tensor:
    """Mean loss of each next token of the texts."""
    batch = tokenizer(texts, truncation=True, max_length=LONGEST, padding=True, return_tensors="pt")
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    loss: torch.Tensor = model(**batch, labels=labels).loss
    return loss


def read_csv(path: Path) -> list[str]:
    """Read one split back."""
    with path.open(encoding="utf-8", newline="") as stream:
        return [row["text"] for row in csv.DictReader(stream)]


def demo() -> Any:
    """The script that prepares the demo: both read the same archive."""
    spec = importlib.util.spec_from_file_location("demo_prepare", DEMO)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
