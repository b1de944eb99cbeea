"""What makes a model's inputs of examples: the tokenizer of texts, the preprocessor of images and sounds, or both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.task import Task
from minidisc_plugin.tasks.preprocessors import KINDS, load_preprocessor
from minidisc_plugin.tasks.speech_processor import load_speech_processor
from minidisc_plugin.tasks.speech_recognition import SpeechRecognition
from minidisc_plugin.tasks.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def load_processor(name: str, model: PreTrainedModel, trust_remote_code: bool, task: Task) -> Any:
    """What reads the inputs of a task.

    Args:
        name: The folder or Hub name that has it.
        model: It has to fit.
        trust_remote_code: Run code that comes with it.
        task: Of the run.

    Raises:
        ConfigError: none there, a broken one, or one that does not fit the model.
    """
    if isinstance(task, SpeechRecognition):
        return load_speech_processor(name, model, trust_remote_code, task)
    kind = next((kind for kind in KINDS if kind.said == task.reader), None)
    if kind is not None:
        return load_preprocessor(kind, name, trust_remote_code)
    return load_tokenizer(name, model, trust_remote_code, task)
