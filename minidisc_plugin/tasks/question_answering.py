"""Extractive question answering: the span of a context that answers a question, scored as SQuAD 1 is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.task import Outputs, Task
from minidisc_plugin.foundation.errors import ConfigError, DataError, MetricError
from minidisc_plugin.tasks.collator import PaddingCollator
from minidisc_plugin.tasks.columns import require_column, require_text, text_of
from minidisc_plugin.tasks.counting import flat_values

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.random import Generator
    from numpy.typing import NDArray
    from torch import Tensor
    from transformers import EvalPrediction, PretrainedConfig

    from minidisc_plugin.contracts.config import MetricConfig
    from minidisc_plugin.contracts.dataset import DatasetConfig

LONGEST_ANSWER = 30
_SHORTEST = 32
_NOWHERE = -1


class QuestionAnswering(Task):
    """A long context becomes several features that overlap; the metric puts them together again.

    Each feature says of which example it is and where in the context its tokens stand, so that the answer is read
    from the context itself whatever the order of evaluation.
    """

    name = "question-answering"
    auto_class = "AutoModelForQuestionAnswering"
    runtime_classes = {  # noqa: RUF012
        "openvino": "OVModelForQuestionAnswering",
        "onnx": "ORTModelForQuestionAnswering",
    }
    text_columns = ("the column of questions", "the column of contexts")
    label_names = ("start_positions", "end_positions", "example", "char_starts", "char_ends")
    own_labels = frozenset(label_names[2:])
    metric_example = "squad"
    judged_as = "answer of which all is in one feature"

    def __init__(self) -> None:
        self._examples: list[tuple[str, dict[str, Any]]] = []

    def check(self, split: Dataset, where: str, columns: DatasetConfig, config: PretrainedConfig) -> Dataset:
        """See Task."""
        from datasets import Dataset

        texts = text_of(split, where, self, columns)
        for column in texts:
            require_text(split, where, column)
        require_column(split, where, "label", columns.label)
        questions, contexts = (list(split[column]) for column in texts)
        first = len(self._examples)
        starts, ends = [], []
        for row, (context, answers) in enumerate(zip(contexts, split[columns.label], strict=True)):
            problem = _problem(context, answers)
            if problem:
                raise DataError(
                    f"dataset.label: row {row} (from 0) of column {columns.label!r} of split {where!r} {problem}; "
                    "correct it, or leave the row out"
                )
            starts.append(int(answers["answer_start"][0]))
            ends.append(starts[-1] + len(answers["text"][0]))
            self._examples.append((context, {"text": answers["text"], "answer_start": answers["answer_start"]}))
        found = {"question": questions, "context": contexts, "start": starts, "end": ends}
        return Dataset.from_dict({**found, "example": list(range(first, len(self._examples)))})

    def unlabelled(self, split: Dataset, where: str, columns: DatasetConfig, config: PretrainedConfig) -> Dataset:
        """See Task."""
        texts = text_of(split, where, self, columns)
        for column in texts:
            require_text(split, where, column)
        return _without_answers(*(list(split[column]) for column in texts))

    def altered(self, examples: Dataset, alter: Callable[[Any], Any]) -> Dataset:
        """See Task; an answer does not stand where it stood."""
        return _without_answers(*(list(map(alter, examples[name])) for name in ("question", "context")))

    def features(self, examples: Dataset, tokenizer: Any, max_length: int) -> Dataset:
        """See Task."""
        if max_length < _SHORTEST:
            raise ConfigError(f"max_length: {max_length} has no room for a context; give at least {_SHORTEST}")
        if not getattr(tokenizer, "is_fast", False):
            raise DataError(f"tokenizer: {type(tokenizer).__name__} gives no offsets; give a fast tokenizer")

        def question(text: str) -> str:
            text = text.strip()
            offsets = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)["offset_mapping"]
            return text if len(offsets) <= max_length // 2 else text[: offsets[max_length // 2 - 1][1]]

        def tokenise(batch: dict[str, list[Any]]) -> dict[str, Any]:
            found = tokenizer(
                [question(text) for text in batch["question"]],
                batch["context"],
                truncation="only_second",
                max_length=max_length,
                stride=max_length // 4,
                return_overflowing_tokens=True,
                return_offsets_mapping=True,
            )
            offsets, rows = found.pop("offset_mapping"), found.pop("overflow_to_sample_mapping")
            spans = []
            for feature, row in enumerate(rows):
                in_context = [part == 1 for part in found.sequence_ids(feature)]
                spans.append(answer_span(offsets[feature], in_context, batch["start"][row], batch["end"][row]))
            return {
                **found,
                "start_positions": [span.start for span in spans],
                "end_positions": [span.end for span in spans],
                "example": [batch["example"][row] for row in rows],
                "char_starts": [span.char_starts for span in spans],
                "char_ends": [span.char_ends for span in spans],
            }

        return examples.map(tokenise, batched=True, remove_columns=examples.column_names, desc="tokenising")

    def collator(self, tokenizer: Any) -> Callable[[list[Any]], Any]:
        """See Task."""
        return PaddingCollator(tokenizer, {"char_starts": -1, "char_ends": -1})

    def count_examples(self, features: Dataset) -> int:
        """See Task."""
        return len(set(features["example"]))

    def judged_by(self, features: Dataset) -> int:
        """See Task."""
        return int((flat_values(features, "start_positions") > 0).sum())

    def logits(self, output: Any, inputs: Mapping[str, Any]) -> Any:
        """See Task."""
        return output["start_logits"], output["end_logits"]

    def reduce(self, logits: Any, labels: Any) -> Any:
        """(features, 3): score of the best span of the context, and where it starts and ends there."""
        import torch

        start, end = (part.float().cpu() for part in logits[:2])
        char_starts, char_ends = (part.cpu() for part in labels[3:5])
        tokens = start.shape[1]
        in_context = char_starts >= 0
        near = torch.ones(tokens, tokens, dtype=torch.bool).triu().tril(LONGEST_ANSWER - 1)
        allowed = near & in_context[:, :, None] & in_context[:, None, :]
        scores = (start[:, :, None] + end[:, None, :]).masked_fill(~allowed, -torch.inf).flatten(1)
        best, place = scores.max(1)
        best = torch.where((start + end).isnan().any(1), torch.nan, best)
        where = torch.stack([place // tokens, place % tokens], 1)
        spans = torch.stack([best, char_starts.gather(1, where[:, :1])[:, 0], char_ends.gather(1, where[:, 1:])[:, 0]])
        return spans.T.contiguous().to(logits[0].device)

    def compute_metrics(
        self, metric: MetricConfig, config: PretrainedConfig
    ) -> Callable[[EvalPrediction], dict[str, float]]:
        """See Task."""
        from minidisc_plugin.metrics import LoadedMetric

        loaded = LoadedMetric(metric.name, metric.options)
        if not loaded.takes_answers:
            raise MetricError(f"metric {metric.name} does not compare answers; question-answering takes squad")

        def compute(prediction: EvalPrediction) -> dict[str, float]:
            import numpy as np

            spans, examples = np.asarray(prediction.predictions), np.asarray(prediction.label_ids[2])
            if np.isnan(spans).any():
                return {loaded.key: float("nan")}
            best: dict[int, Any] = {}
            for span, example in zip(spans, examples, strict=True):
                if int(example) not in best or span[0] > best[int(example)][0]:
                    best[int(example)] = span
            texts = {
                example: self._examples[example][0][max(0, int(start)) : max(0, int(end))]
                for example, (_, start, end) in best.items()
            }
            return loaded(
                [{"id": str(example), "prediction_text": text} for example, text in texts.items()],
                [{"id": str(example), "answers": self._examples[example][1]} for example in texts],
            )

        return compute

    def by_chance(self, prediction: EvalPrediction, config: PretrainedConfig, chance: Generator) -> EvalPrediction:
        """See Task; answers as long as those that were found, somewhere in their contexts."""
        import numpy as np
        from transformers import EvalPrediction

        spans = np.array(prediction.predictions)
        for span, starts, ends in zip(spans, *prediction.label_ids[3:5], strict=True):
            context = np.flatnonzero(starts >= 0)
            length = int(((starts >= span[1]) & (ends <= span[2]))[context].sum())
            if len(context):
                first = int(chance.integers(max(1, len(context) - length + 1)))
                last = min(first + max(length, 1), len(context)) - 1
                span[1:] = starts[context[first]], ends[context[last]]
        return EvalPrediction(spans, prediction.label_ids)

    def redrawn(self, prediction: EvalPrediction, rows: NDArray[Any]) -> EvalPrediction | None:
        """See Task; an answer is the best of all rows of its example."""
        return None

    def perfect_predictions(self, config: PretrainedConfig) -> EvalPrediction:
        """See Task."""
        import numpy as np
        from transformers import EvalPrediction

        rows = [
            (1.0, answers["answer_start"][0], answers["answer_start"][0] + len(answers["text"][0]))
            for _, answers in self._examples[:3]
        ]
        nothing = np.zeros(len(rows))
        return EvalPrediction(np.array(rows), (nothing, nothing, np.arange(len(rows)), nothing, nothing))

    def compared(self, student: Any, teacher: Any, batch: Mapping[str, Tensor]) -> tuple[Any, Any, Any]:
        """Start and end logits are rows of classes, one class per token."""
        import torch

        mask = batch.get("attention_mask")
        view = dict(batch)
        if mask is not None:
            view["logits_mask"] = torch.cat([mask, mask]).bool()
        if batch.get("start_positions") is not None:
            view["labels"] = torch.cat([batch["start_positions"], batch["end_positions"]])
        mine, theirs = (
            Outputs.of(output, torch.cat([output.start_logits, output.end_logits])) for output in (student, teacher)
        )
        return mine, theirs, view


def _without_answers(questions: list[str], contexts: list[str]) -> Dataset:
    """Examples of which no feature holds an answer."""
    from datasets import Dataset

    nothing = [_NOWHERE] * len(questions)
    return Dataset.from_dict(
        {"question": questions, "context": contexts, "start": nothing, "end": nothing, "example": nothing}
    )


def answer_span(offsets: list[Any], in_context: list[bool], start: int, end: int) -> SimpleNamespace:
    """Where a feature holds the answer: tokens `start` and `end`, both 0 where it does not hold all of it.

    Args:
        offsets: (start, end) characters of each token.
        in_context: Whether a token is of the context.
        start: First character of the answer.
        end: The character after its last.

    Returns:
        With `start` and `end`, and `char_starts` and `char_ends`: offsets of the context's tokens, -1 elsewhere.
    """
    char_starts = [int(a) if inside else -1 for (a, _), inside in zip(offsets, in_context, strict=True)]
    char_ends = [int(b) if inside else -1 for (_, b), inside in zip(offsets, in_context, strict=True)]
    context = [token for token, inside in enumerate(in_context) if inside]
    first = next((token for token in reversed(context) if char_starts[token] <= start < char_ends[token]), None)
    last = next((token for token in context if char_starts[token] < end <= char_ends[token]), None)
    held = first is not None and last is not None and first <= last
    return SimpleNamespace(
        start=first if held else 0, end=last if held else 0, char_starts=char_starts, char_ends=char_ends
    )


def _problem(context: str, answers: Any) -> str | None:
    """What is wrong with a row's answers, if anything."""
    if not isinstance(answers, dict) or not {"text", "answer_start"} <= set(answers):
        return 'needs {"text": [...], "answer_start": [...]}'
    if not answers["text"] or len(answers["text"]) != len(answers["answer_start"]):
        return "has no answer"
    for text, start in zip(answers["text"], answers["answer_start"], strict=True):
        if not text or context[start : start + len(text)] != text:
            return f"has an answer_start ({start}) at which its answer does not stand"
    return None
