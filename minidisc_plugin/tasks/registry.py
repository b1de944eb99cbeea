"""Tasks by name, and the task of a model."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from minidisc_plugin.contracts.task import Task
from minidisc_plugin.tasks.audio_classification import AudioClassification
from minidisc_plugin.tasks.feature_extraction import FeatureExtraction
from minidisc_plugin.tasks.image_classification import ImageClassification
from minidisc_plugin.tasks.language import TextGeneration, TextToText
from minidisc_plugin.tasks.multi_label import PROBLEM, MultiLabelClassification, MultiLabelImages, MultiLabelSounds
from minidisc_plugin.tasks.multiple_choice import MultipleChoice
from minidisc_plugin.tasks.question_answering import QuestionAnswering
from minidisc_plugin.tasks.speech_recognition import SpeechRecognition
from minidisc_plugin.tasks.text_classification import TextClassification
from minidisc_plugin.tasks.token_classification import TokenClassification

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig

TASKS: dict[str, type[Task]] = {
    task.name: task
    for task in (
        TextClassification,
        TokenClassification,
        QuestionAnswering,
        MultipleChoice,
        TextGeneration,
        TextToText,
        ImageClassification,
        AudioClassification,
        SpeechRecognition,
        FeatureExtraction,  # a model without a head: last, for classes with one are found first
    )
}


def task_of_class(name: str) -> Task | None:
    """The task of a model class of transformers, or of its narrow variant; None where it has none of ours."""
    name = name.removeprefix("Narrow")
    return next((task() for task in TASKS.values() if name in _class_names(task.auto_class)), None)


def task_of_model(model: nn.Module) -> Task:
    """The task of a model, by the classes it is made of; that of whole examples where they say nothing."""
    found = (task_of_class(kind.__name__) for kind in type(model).__mro__)
    task = next((task for task in found if task is not None), TextClassification())
    config = getattr(model, "config", None)
    return task if config is None else variant(task, config)


def variant(task: Task, config: PretrainedConfig) -> Task:
    """The task as a model of this config does it: its config may say that it does more than one thing at once."""
    if isinstance(task, FeatureExtraction):
        return FeatureExtraction.of(config)
    several = config.problem_type == PROBLEM
    if isinstance(task, ImageClassification):
        return (MultiLabelImages if several else ImageClassification).of(config)
    if isinstance(task, SpeechRecognition):
        return SpeechRecognition.of(config)
    if isinstance(task, AudioClassification):
        return (MultiLabelSounds if several else AudioClassification).of(config)
    return MultiLabelClassification() if several and isinstance(task, TextClassification) else task


@cache
def _class_names(auto_class: str) -> frozenset[str]:
    from transformers.models.auto import modeling_auto

    listed = getattr(modeling_auto, auto_class)._model_mapping._model_mapping.values()
    return frozenset(name for names in listed for name in ((names,) if isinstance(names, str) else names))
