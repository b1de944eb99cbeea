"""Tiny teachers of every task, fine-tuned on data that can be learned, and the config of a run on them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import torch
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForMultipleChoice,
    BertForQuestionAnswering,
    BertForTokenClassification,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
)

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.tasks.registry import TASKS
from tests.builders.tiny import BAD, GOOD, OTHER, THREE_EPOCHS, VOCABULARY, make_tokenizer

TAGS = ["O", "B-GOOD", "I-GOOD", "B-BAD", "I-BAD"]
SHAPE = {"vocab_size": len(VOCABULARY), "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
BERT = {**SHAPE, "intermediate_size": 64, "max_position_embeddings": 64}
WIDE = {"vocab_size": len(VOCABULARY), "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}


def make_model(kind: str) -> PreTrainedModel:
    """A tiny model from a config."""
    torch.manual_seed(0)
    if kind == "token-classification":
        names = dict(enumerate(TAGS))
        return BertForTokenClassification(
            BertConfig(**BERT, id2label=names, label2id={name: index for index, name in names.items()})
        )
    if kind == "embeddings":
        return BertModel(BertConfig(**BERT))
    if kind == "question-answering":
        return BertForQuestionAnswering(BertConfig(**BERT))
    if kind == "multiple-choice":
        return BertForMultipleChoice(BertConfig(**BERT))
    if kind == "gpt2":
        return GPT2LMHeadModel(GPT2Config(**WIDE, n_embd=32, n_layer=2, n_head=4, n_inner=64, n_positions=64))
    if kind == "llama":
        return LlamaForCausalLM(
            LlamaConfig(**WIDE, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64)
        )
    if kind == "t5":
        settings = {**WIDE, "decoder_start_token_id": 0, "d_model": 32, "d_kv": 8, "d_ff": 64}
        return T5ForConditionalGeneration(T5Config(**settings, num_layers=2, num_heads=4, initializer_factor=1.0))
    settings = {**WIDE, "decoder_start_token_id": 3, "forced_eos_token_id": 3, "d_model": 32}
    sides = {f"{side}_{name}": 2 for side in ("encoder", "decoder") for name in ("layers",)}
    heads = {f"{side}_attention_heads": 4 for side in ("encoder", "decoder")}
    neurons = {f"{side}_ffn_dim": 64 for side in ("encoder", "decoder")}
    return BartForConditionalGeneration(BartConfig(**settings, **sides, **heads, **neurons, max_position_embeddings=64))


def make_rows(task: str, count: int, seed: int) -> list[dict[str, Any]]:
    """Examples in which what is asked for follows from the words."""
    chosen = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for _ in range(count):
        words = [chosen.choice(OTHER[:10]) for _ in range(chosen.randint(3, 8))]
        place = chosen.randint(0, len(words))
        good = chosen.random() < 0.5
        telling = [chosen.choice(GOOD if good else BAD) for _ in range(chosen.randint(1, 2))]
        if task == "feature-extraction":
            # Words of the first text, some of which the second shares: the score.
            shared = chosen.randint(0, len(words))
            other = words[:shared] + [chosen.choice(OTHER[10:20]) for _ in words[shared:]]
            rows.append({"one": " ".join(words), "other": " ".join(other), "score": round(shared / len(words), 2)})
        elif task == "token-classification":
            kind = "GOOD" if good else "BAD"
            tags = [f"B-{kind}", f"I-{kind}"][: len(telling)]
            rows.append(
                {
                    "tokens": words[:place] + telling + words[place:],
                    "tags": ["O"] * place + tags + ["O"] * (len(words) - place),
                }
            )
        elif task == "question-answering":
            before = "".join(f"{word} " for word in words[:place])
            context = " ".join([before.strip(), telling[0], *words[place:]]).strip()
            answers = {"text": [telling[0]], "answer_start": [len(before)]}
            rows.append({"question": "word0 word1", "context": context, "answers": answers})
        elif task == "multiple-choice":  # what goes on as it began: one of each kind, and two of neither
            choices = [
                telling,
                [chosen.choice(BAD if good else GOOD)],
                *([word] for word in chosen.sample(OTHER[:10], 2)),
            ]
            order = chosen.sample(range(4), 4)
            rows.append(
                {
                    "context": " ".join([*words[:place], chosen.choice(GOOD if good else BAD), *words[place:]]),
                    "choices": [" ".join(choices[which]) for which in order],
                    "label": order.index(0),
                }
            )
        elif task == "text-generation":
            first = chosen.randrange(10)
            rows.append({"text": " ".join(OTHER[(first + step) % 10] for step in range(chosen.randint(4, 9)))})
        else:
            short = words[:4]
            rows.append({"source": " ".join(short), "target": " ".join(OTHER[10 + OTHER.index(w)] for w in short)})
    return rows


COLUMNS: dict[str, dict[str, Any]] = {
    "feature-extraction": {"text": ["one", "other"], "label": "score"},
    "token-classification": {"text": "tokens", "label": "tags"},
    "question-answering": {"text": ["question", "context"], "label": "answers"},
    "multiple-choice": {"text": "context"},
    "text-generation": {"text": "text"},
    "text2text-generation": {"text": "source", "label": "target"},
}


def write_sentence_files(folder: Path, width: int, normalize: bool = True, **pooling: bool) -> None:
    """What sentence-transformers 2 to 5 write beside a model; the mean of all tokens unless told."""
    parts = ["models.Transformer", "models.Pooling", *(["models.Normalize"] if normalize else [])]
    paths = ["", "1_Pooling", "2_Normalize"]
    modules = [
        {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.{part}"}
        for place, (part, path) in enumerate(zip(parts, paths, strict=False))
    ]
    switches = pooling or {"pooling_mode_mean_tokens": True}
    files: dict[str, Any] = {
        "modules.json": modules,
        "1_Pooling/config.json": {"word_embedding_dimension": width, **switches},
        "sentence_bert_config.json": {"max_seq_length": 48, "do_lower_case": False},
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content), encoding="utf-8")


def make_task_run(folder: Path, task: str, kind: str, metric: str, epochs: int = 12, **changes: Any) -> dict[str, Any]:
    """A teacher that learned its data, the data as JSON lines, and the config of a run on them."""
    files = {}
    for name, count, seed in (("train", 240, 1), ("test", 64, 2)):
        files[name] = str(folder / f"{name}.jsonl")
        rows = make_rows(task, count, seed)
        if task == "feature-extraction" and name == "train":
            rows = [{"one": row["one"], "other": row["other"]} for row in rows]  # texts are all that it is
        lines = [json.dumps(row) for row in rows]
        Path(files[name]).write_text("\n".join(lines), encoding="utf-8")
    teacher = folder / "teacher"
    teacher.mkdir()
    tokenizer = make_tokenizer(teacher)
    if task.startswith("text"):
        tokenizer.model_input_names = ["input_ids", "attention_mask"]
        tokenizer.save_pretrained(teacher)
    model = make_model(kind)
    config = {
        "model": str(teacher),
        "task": task,
        "dataset": {"path": "json", "data_files": files, **COLUMNS[task]},
        "metric": metric,
        "pruning": {"target_sparsity": 0.6},
        "scheduler": "minidisc",
        "scheduler_config": {"lambda": 0.2, "candidates": [0.8, 0.6]},
        "trainer": "transformers",
        "max_length": 48,
        "training": dict(THREE_EPOCHS),
        "output_dir": str(folder / "out"),
        **changes,
    }
    if task == "feature-extraction":  # a network of chance embeds texts by their words, as they are scored
        model.eval().save_pretrained(teacher)
        write_sentence_files(teacher, SHAPE["hidden_size"])
        return config
    from datasets import load_dataset

    made, settings = TASKS[task](), CompressionConfig.model_validate(config)
    train = load_dataset("json", data_files={"train": files["train"]})["train"]
    features = made.features(made.check(train, "train", settings.dataset, model.config), tokenizer, 48)
    collate, examples = made.collator(tokenizer), list(features)
    assert collate is not None
    optimizer = torch.optim.AdamW(model.parameters(), 5e-3)
    model.train()
    for _ in range(epochs):
        for start in range(0, len(examples), 24):
            model(**made.labelled(collate(examples[start : start + 24]))).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    model.eval().save_pretrained(teacher)
    return config
