"""What a task needs: the model class, labels that fit the model, features for it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from minidisc_plugin.errors import ConfigError, DataError

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import EvalPrediction, PretrainedConfig, PreTrainedModel


def is_regression(config: PretrainedConfig) -> bool:
    """Whether a sequence classification model of this config predicts real numbers."""
    return bool(config.problem_type == "regression" or config.num_labels == 1)


def perfect_predictions(config: PretrainedConfig) -> EvalPrediction:
    """A few predictions that hit every label, to try a metric on."""
    import numpy as np
    from transformers import EvalPrediction

    regression = is_regression(config)
    labels = np.arange(3.0) if regression else np.arange(config.num_labels)
    return EvalPrediction(labels[:, None] if regression else np.eye(len(labels)), labels)


def load_teacher(model: str, trust_remote_code: bool) -> PreTrainedModel:
    """The fine-tuned sequence classification model.

    Raises:
        ConfigError: nothing there that transformers can load.
    """
    from transformers import AutoConfig, AutoModelForSequenceClassification

    from minidisc_plugin.nested.checkpoint import load

    try:
        config = AutoConfig.from_pretrained(model, trust_remote_code=trust_remote_code)
        if getattr(config, "layer_sizes", None) is not None:
            return load(model)
        return AutoModelForSequenceClassification.from_pretrained(model, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:
        raise ConfigError(f"model: {model!r} cannot be loaded: {_reason(error)}") from error


def load_tokenizer(name: str, model: PreTrainedModel, trust_remote_code: bool) -> Any:
    """The tokenizer of a model.

    Raises:
        ConfigError: none there, or one that does not belong to the model.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"tokenizer: {name!r} cannot be loaded: {_reason(error)}") from error
    rows = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > rows:
        raise ConfigError(
            f"tokenizer: {name!r} has {len(tokenizer)} tokens but the model embeds {rows}; "
            "give the tokenizer that the model was trained with"
        )
    padding = model.config.pad_token_id
    if tokenizer.pad_token_id is None:
        raise ConfigError(f"tokenizer: {name!r} has no padding token; set one and save it again")
    if padding is not None and padding != tokenizer.pad_token_id:
        raise ConfigError(
            f"tokenizer: {name!r} pads with id {tokenizer.pad_token_id} but the model with {padding}; "
            "give the tokenizer that the model was trained with"
        )
    return tokenizer


def label_ids(labels: Sequence[Any], config: PretrainedConfig, where: str) -> list[int] | list[float]:
    """Labels as the model takes them: class indices, or real numbers for a regression.

    Args:
        labels: A column: indices, class names of the model's config, or numbers.
        config: The model's.
        where: The column and split, for messages.

    Raises:
        DataError: a label that is missing, or that the model does not have.
    """
    for row, label in enumerate(labels):
        if label is None or (isinstance(label, float) and math.isnan(label)):
            raise DataError(f"dataset.label: row {row} (from 0) of {where} has none; add it, or leave the row out")
    if is_regression(config):
        return [_real(label, where) for label in labels]
    by_name: Mapping[str, int] = config.label2id or {}
    found: dict[Any, int] = {}
    for label in set(labels):
        index = by_name.get(label) if isinstance(label, str) else _index(label)
        if index is None or not 0 <= index < config.num_labels:
            raise DataError(
                f"dataset.label: {label!r} in {where} is not a label of the model, "
                f"which has {config.num_labels}: {', '.join(list(by_name)[:5])}{' ...' if len(by_name) > 5 else ''}"
            )
        found[label] = int(index)
    return [found[label] for label in labels]


def tokenise(split: Dataset, tokenizer: Any, columns: Sequence[str], labels: Sequence[Any], max_length: int) -> Dataset:
    """Features of one split: what the tokenizer gives for one or two text columns, and `labels`."""

    def features(batch: dict[str, list[Any]]) -> dict[str, Any]:
        texts = [[text or "" for text in batch[column]] for column in columns]
        return dict(tokenizer(*texts, truncation=True, max_length=max_length))

    tokenised = split.map(features, batched=True, remove_columns=split.column_names, desc="tokenising")
    return tokenised.add_column("labels", list(labels))


def _index(label: Any) -> int | None:
    """A class index; a column that lost its integer type, such as by an empty cell elsewhere, holds 1.0 for 1."""
    whole = isinstance(label, int) or (isinstance(label, float) and label.is_integer())
    return int(label) if whole and not isinstance(label, bool) else None


def _reason(error: Exception) -> str:
    """What went wrong, in a line; transformers goes on to list every model type that it knows."""
    return str(error).strip().splitlines()[0].partition(" Should have a `model_type` key")[0]


def _real(label: Any, where: str) -> float:
    try:
        value = float(label)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"dataset.label: {label!r} in {where} is not a number, and the model is a regression")
    return value
