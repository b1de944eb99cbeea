"""A task that the tiny model of any family learns in seconds, so that a metric says what 8 bits cost it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from tests.builders.zoo import LABELS, SEQ2SEQ, ZOO, sound_input

WORDS = range(8, 24)
"""What sentences are made of."""
SIGNS = range(5, 5 + LABELS)
"""One of them stands in every sentence, and names its class."""
END = 2
TOKENS, STEPS, BATCH, EXAM = 10, 300, 64, 512
_STEPS = {"pegasus": 600}
"""Of those that learn more slowly."""


def is_generation(case: str) -> bool:
    """Whether a case answers with words."""
    return ZOO[case][0].endswith(("CausalLM", "LMHeadModel", *SEQ2SEQ))


def lesson(case: str, size: int, seed: int) -> dict[str, Tensor]:
    """Examples of the case's task, in its model's inputs.

    Sentences hold one of three signs. Their class is the sign; the class of a token is its id, and the sign's, modulo
    three; an image's class is its bright channel, a sound's its pitch; the next word lies as many words on as the sign
    says, in a circle.

    Args:
        case: Of the zoo.
        size: Examples.
        seed: Other seeds are other examples.

    Returns:
        Inputs and `labels`, -100 where nothing is asked.
    """
    draw = torch.Generator().manual_seed(seed)
    classes = torch.randint(0, LABELS, (size,), generator=draw)
    if "ImageClassification" in ZOO[case][0]:
        images = torch.rand(size, 3, 16, 16, generator=draw)
        images[torch.arange(size), classes] += 0.5
        return {"pixel_values": images, "labels": classes}
    if (sounds := sound_input(case)) is not None:
        return {**_sounds(*sounds, classes, draw), "labels": classes}
    lengths = torch.randint(TOKENS // 2, TOKENS + 1, (size, 1), generator=draw)
    mask = (torch.arange(TOKENS) < lengths).long()
    words = torch.randint(WORDS.start, WORDS.stop, (size, TOKENS), generator=draw)
    signs = (classes + SIGNS.start).unsqueeze(1)
    circle = WORDS.start + (words[:, :1] + (classes.unsqueeze(1) + 1) * torch.arange(TOKENS)) % len(WORDS)
    name = ZOO[case][0]
    if name.endswith(SEQ2SEQ):
        source = words.scatter(1, torch.zeros_like(signs), signs)
        asked = mask.bool() & (torch.arange(TOKENS) > 0)
        labels = circle.roll(-1, 1).masked_fill(~asked.roll(-1, 1), -100)
        labels[:, -1] = -100
        return {
            "input_ids": source,
            "attention_mask": torch.ones_like(mask),
            "decoder_input_ids": circle,
            "labels": labels,
        }
    if is_generation(case):
        text = torch.cat([signs, circle[:, :-1]], 1)
        labels = text.masked_fill((mask == 0) | (torch.arange(TOKENS) < 2), -100)
        return {"input_ids": text * mask, "attention_mask": mask, "labels": labels}
    place = (torch.rand(size, 1, generator=draw) * (lengths - 1)).long()
    text = words.scatter(1, place, signs)
    if "Token" in name:
        labels = ((text + classes.unsqueeze(1)) % LABELS).masked_fill(mask == 0, -100)
        return {"input_ids": text * mask, "attention_mask": mask, "labels": labels}
    if name.startswith("Bart"):  # reads the state of the last end-of-sequence token
        text = text.scatter(1, lengths - 1, END).scatter(1, torch.zeros_like(signs), signs)
    return {"input_ids": text * mask, "attention_mask": mask, "labels": classes}


def _sounds(name: str, shape: tuple[int, ...], classes: Tensor, draw: torch.Generator) -> dict[str, Tensor]:
    """Tones of three pitches in noise, as samples of several lengths, or as spectrograms with a bright band."""
    size = len(classes)
    heard = 0.3 * torch.randn(size, *shape, generator=draw)
    if len(shape) > 1:
        bands = heard if name == "input_features" else heard.transpose(1, 2)
        bands[torch.arange(size), 5 * classes] += 1.0
        return {name: heard}
    times = torch.arange(shape[0])
    mask = (times < torch.randint(shape[0] // 2, shape[0] + 1, (size, 1), generator=draw)).long()
    tones = torch.sin(0.1 * 3.0 ** classes.unsqueeze(1) * times + 6 * torch.rand(size, 1, generator=draw))
    return {name: (heard + tones) * mask, "attention_mask": mask}


def teach(case: str, model: Any, seed: int = 0) -> float:
    """Train a model in place until it has learned its task; it is in evaluation mode afterwards.

    Returns:
        Its accuracy on `EXAM` examples that it has not seen, 0 to 1.
    """
    torch.manual_seed(seed)
    steps = _STEPS.get(case, STEPS)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    model.train()
    for step in range(steps):
        batch = lesson(case, BATCH, 1000 + step)
        logits, labels = _aligned(case, model(**_features(batch))["logits"], batch["labels"])
        cross_entropy(logits.flatten(0, -2), labels.flatten()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    model.eval()
    exam = lesson(case, EXAM, seed)
    with torch.no_grad():
        return accuracy(case, model(**_features(exam))["logits"], exam["labels"])


def accuracy(case: str, logits: Tensor, labels: Tensor) -> float:
    """The share of what is asked that is answered right, 0 to 1."""
    logits, labels = _aligned(case, logits, labels)
    asked = labels != -100
    return float((logits.argmax(-1)[asked] == labels[asked]).double().mean())


def _features(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in batch.items() if name != "labels"}


def _aligned(case: str, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """A language model's logits at a word are about the next one; the decoder's labels are shifted already."""
    if is_generation(case) and not ZOO[case][0].endswith(SEQ2SEQ):
        return logits[:, :-1], labels[:, 1:]
    return logits, labels
