"""Texts that models write of the reported split, and what metrics of texts say of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from minidisc_plugin.contracts.task import IGNORED
from minidisc_plugin.foundation.model_files.processor_saving import tokenizer_of
from minidisc_plugin.foundation.model_files.quiet import quiet
from minidisc_plugin.foundation.positions import positions
from minidisc_plugin.metrics import LoadedMetric
from minidisc_plugin.training.batches import sorted_by_length

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel

    from minidisc_plugin.contracts.run import Prepared

logger = logging.getLogger(__name__)


class Texts:
    """Targets of a split, and what a model writes in their place.

    Targets are read from the labels: as the tokenizer knows them, and cut at `max_length`. Those of transformers' own
    examples are, too.

    Args:
        prepared: The run.
        split: Features of it; the reported split unless told.
    """

    def __init__(self, prepared: Prepared, split: Dataset | None = None) -> None:
        self._prepared = prepared
        self._split = prepared.splits.report if split is None else split
        self._tokenizer = tokenizer_of(prepared.processor)
        self._metrics = [LoadedMetric(name) for name in prepared.config.generation.metrics]

    def scores(self, model: PreTrainedModel, role: str) -> dict[str, float]:
        """What the metrics say of a model, in evaluation mode, by name; its role is for the log."""
        if not self._metrics:
            return {}
        logger.info("generation: the %s writes %d texts", role, len(self._split))
        found, wanted = self._written(model)
        scores: dict[str, float] = {}
        for metric in self._metrics:
            numbers = metric(found, wanted)
            others = {name: value for name, value in numbers.items() if name != metric.key}
            scores |= others if metric.name == "rouge" else {metric.key: numbers[metric.key]}
        return scores

    def _written(self, model: PreTrainedModel) -> tuple[list[str], list[str]]:
        """A text and its target, of each example."""
        from torch.utils.data import DataLoader

        prepared, found, wanted = self._prepared, [], []
        collate = prepared.task.collator(prepared.processor)
        split = sorted_by_length(self._split)
        batches = DataLoader(split, prepared.args.per_device_eval_batch_size, collate_fn=collate)
        settings = self._settings(model)
        with torch.inference_mode(), quiet():
            for batch in batches:
                source = {name: value.to(model.device) for name, value in prepared.task.sources(batch).items()}
                found += self._read(model.generate(**source, **settings))
                labels = batch["labels"]
                wanted += self._read(labels.masked_fill(labels == IGNORED, self._tokenizer.pad_token_id))
        return found, wanted

    def _settings(self, model: PreTrainedModel) -> Mapping[str, Any]:
        """Greedy, or by beams: a text is the same each time."""
        asked, limit = self._prepared.config.generation, positions(model)
        longest = self._prepared.config.max_length
        if limit > 0:
            longest = max(1, min(longest, limit - self._prepared.task.begins_with))
        return {
            "max_new_tokens": asked.max_new_tokens or longest,
            "num_beams": asked.num_beams,
            "do_sample": False,
            "num_return_sequences": 1,
            "return_dict_in_generate": False,
            "use_cache": True,
        }

    def _read(self, ids: torch.Tensor) -> list[str]:
        texts = self._tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [str(text).strip() for text in texts]
