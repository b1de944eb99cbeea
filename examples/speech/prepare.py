"""Make what the example of speech needs: dialled numbers, as a telephone sounds them, and a Whisper that writes them.

Nothing is downloaded: the sounds are computed, and the teacher is trained from nothing.
"""

from __future__ import annotations

import argparse
import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

RATE = 16_000
SPLITS = {"train": 1_500, "validation": 100, "test": 300}
# The two tones of each key of a telephone, in hertz (ITU-T Q.23).
KEYS = {
    "zero": (941, 1336),
    "one": (697, 1209),
    "two": (697, 1336),
    "three": (697, 1477),
    "four": (770, 1209),
    "five": (770, 1336),
    "six": (770, 1477),
    "seven": (852, 1209),
    "eight": (852, 1336),
    "nine": (852, 1477),
}
SPECIAL = (
    *("endoftext", "startoftranscript", "en", "translate", "transcribe", "startoflm", "startofprev", "nospeech"),
    "notimestamps",
)
SEED = 0
BATCH = 32
BANDS = 80


def main() -> None:
    """Parse the command line and do what is not done yet."""
    parser = argparse.ArgumentParser(
        description=(
            "(1) DATA: 1,900 computed sounds of three to six dialled digits in noise, each the two tones of its key, "
            "and metadata.csv with what was dialled, in words. (2) TEACHER: a Whisper of four layers and its "
            "tokenizer, trained on them from nothing."
        ),
        epilog="Delete a result's folder to have it made again, for example with other options.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder that gets speech-data/ and -teacher/")
    parser.add_argument("--epochs", type=int, default=40, metavar="N", help="of the teacher's training")
    args = parser.parse_args()
    data, teacher = args.runs / "speech-data", args.runs / "speech-teacher"
    if data.exists():
        print(f"data: {data} is ready, skipped")
    else:
        write_sounds(data)
    if teacher.exists():
        print(f"teacher: {teacher} is ready, skipped")
    else:
        train_teacher(teacher, data, args.epochs)


def write_sounds(folder: Path) -> None:
    """Write every sound as a file, and what was dialled."""
    import soundfile

    drawn = np.random.default_rng(SEED)
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for split, count in SPLITS.items():
        (partial / split).mkdir(parents=True)
        with (partial / split / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow(("file_name", "text"))
            for number in range(count):
                digits = [str(digit) for digit in drawn.choice(list(KEYS), drawn.integers(3, 7))]
                soundfile.write(partial / split / f"{number}.flac", dial(digits, drawn), RATE)
                table.writerow((f"{number}.flac", " ".join(digits)))
    partial.replace(folder)
    print(f"data: {folder} written, {', '.join(f'{count:,} {split}' for split, count in SPLITS.items())}")


def dial(digits: list[str], drawn: np.random.Generator) -> NDArray[Any]:
    """(samples,) of keys that are pressed one after the other, less than a second in all."""
    parts = []
    for digit in digits:
        times = np.arange(int(RATE * drawn.uniform(0.08, 0.12))) / RATE
        parts.append(sum(np.sin(2 * np.pi * tone * times + drawn.uniform(0, 6)) for tone in KEYS[digit]))
        parts.append(np.zeros(int(RATE * drawn.uniform(0.02, 0.04))))
    sound = np.concatenate(parts)
    return 0.1 * sound + drawn.uniform(0.02, 0.1) * drawn.standard_normal(len(sound))


def make_processor() -> Any:
    """A feature extractor for sounds of a second, and a tokenizer of the words."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import WhisperFeatureExtractor, WhisperProcessor, WhisperTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core.train_from_iterator(
        [" ".join([word, *KEYS]) for word in KEYS],
        trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False),
    )
    special = [f"<|{name}|>" for name in SPECIAL]
    core.add_special_tokens(special)
    tokenizer = WhisperTokenizerFast(tokenizer_object=core, pad_token=special[0], additional_special_tokens=special)
    tokenizer.set_prefix_tokens()
    return WhisperProcessor(WhisperFeatureExtractor(feature_size=BANDS, chunk_length=1), tokenizer)


def train_teacher(folder: Path, data: Path, epochs: int) -> None:
    """Train a teacher and save it with its processor."""
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    torch.manual_seed(SEED)
    processor = make_processor()
    end, start = processor.tokenizer.convert_tokens_to_ids([f"<|{name}|>" for name in SPECIAL[:2]])
    layers = {
        f"{part}_{key}": value
        for part in ("encoder", "decoder")
        for key, value in {"layers": 2, "attention_heads": 4, "ffn_dim": 256}.items()
    }
    config = WhisperConfig(
        vocab_size=len(processor.tokenizer),
        d_model=64,
        num_mel_bins=BANDS,
        max_source_positions=50,
        max_target_positions=32,
        decoder_start_token_id=start,
        **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), end),
        suppress_tokens=[],
        begin_suppress_tokens=[],
        **layers,
    )
    model = WhisperForConditionalGeneration(config)
    inputs, labels = read_split(data / "train", processor)
    steps = epochs * -(-len(labels) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps)
    for epoch in range(epochs):
        for part in torch.randperm(len(labels)).split(BATCH):
            loss = model(input_features=inputs[part], labels=labels[part]).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        print(f"teacher: epoch {epoch + 1} of {epochs}, loss {loss.item():.3f}", flush=True)
    inputs, labels = read_split(data / "validation", processor)
    with torch.no_grad():
        found = model.eval()(input_features=inputs, labels=labels).logits.argmax(-1)
    right = (found == labels)[labels >= 0].float().mean().item()
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for part in (model, processor):
        part.save_pretrained(partial)
    partial.replace(folder)
    print(f"teacher: {folder} written, {right:.3f} of the tokens of the validation split are right")


def read_split(folder: Path, processor: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Spectrograms (sounds, bands, frames) and tokens (sounds, longest) of a split, -100 where there is none."""
    import soundfile

    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    sounds = [soundfile.read(folder / row["file_name"], dtype="float32")[0] for row in rows]
    inputs = processor.feature_extractor(sounds, sampling_rate=RATE, return_tensors="pt")["input_features"]
    tokens = [torch.tensor(ids[1:]) for ids in processor.tokenizer([row["text"] for row in rows])["input_ids"]]
    return inputs, torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True, padding_value=-100)


if __name__ == "__main__":
    main()
