"""The section `generation`, tried before anything is trained: its metrics on two texts, the teacher on two examples."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from minidisc_plugin.foundation.errors import ConfigError, MinidiscError
from minidisc_plugin.foundation.positions import positions
from minidisc_plugin.foundation.printable import one_line

if TYPE_CHECKING:
    from evaluate import EvaluationModule

    from minidisc_plugin.contracts.config import CompressionConfig
    from minidisc_plugin.contracts.run import Prepared
    from minidisc_plugin.contracts.task import Task

_TEXTS = ["a text of some words", "and another one of more words than that"]


def check_generation(config: CompressionConfig, task: Task, metric: EvaluationModule) -> None:
    """Refuse metrics of texts where none are written, and such as cannot be computed.

    Raises:
        ConfigError: names the key.
        MetricError: a metric cannot be loaded, or does not compare texts.
    """
    from minidisc_plugin.metrics import LoadedMetric, compares_texts

    name, others = config.metric.name, config.generation.metrics
    if others and not task.writes:
        raise ConfigError(
            f"generation.metrics: they compare texts that models write, and those of {task.said} write none; remove "
            "the section"
        )
    if compares_texts(metric):
        remedy = "list it in generation.metrics, and " if task.writes else ""
        raise ConfigError(
            f"metric: {name} compares texts that a model writes, and here its predictions are compared; {remedy}name "
            f"another, such as {task.metric_example}"
        )
    for name in others:
        compared = LoadedMetric(name)
        if not compared.takes_texts:
            raise ConfigError(f"generation.metrics: {name} compares no texts; list such as do, as rouge or sacrebleu")
        if not all(map(math.isfinite, compared(_TEXTS, _TEXTS).values())):
            raise ConfigError(f"generation.metrics: {name} has no value of texts that are their own targets; remove it")


def try_generation(prepared: Prepared) -> None:
    """Let the teacher write of two examples.

    Raises:
        ConfigError: it cannot.
    """
    from minidisc_plugin.run.measuring.texts import Texts

    asked = prepared.config.generation
    if not asked.metrics:
        return
    limit = positions(prepared.teacher)
    if asked.max_new_tokens is not None and 0 < limit < asked.max_new_tokens + (begins := prepared.task.begins_with):
        raise ConfigError(
            f"generation.max_new_tokens: {asked.max_new_tokens}, and the model has {limit} positions, {begins} of "
            f"them for what a text begins with; give {limit - begins} at most"
        )
    few = prepared.splits.report.select(range(min(2, len(prepared.splits.report))))
    try:
        Texts(prepared, few).scores(prepared.teacher, "teacher")
    except MinidiscError:
        raise
    except Exception as error:  # of any layer of the model
        raise ConfigError(
            f"generation: the teacher cannot write a text: {one_line(str(error))}; correct its generation_config.json, "
            "or set generation.metrics: []"
        ) from error
