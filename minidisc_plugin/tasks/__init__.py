"""Tasks: one small file each, found by name."""

from minidisc_plugin.tasks.base import Outputs, Task
from minidisc_plugin.tasks.labels import is_regression, label_ids, perfect_predictions
from minidisc_plugin.tasks.loading import load_teacher, load_tokenizer, read_teacher
from minidisc_plugin.tasks.registry import TASKS, task_of_model

__all__ = [
    "TASKS",
    "Outputs",
    "Task",
    "is_regression",
    "label_ids",
    "load_teacher",
    "load_tokenizer",
    "perfect_predictions",
    "read_teacher",
    "task_of_model",
]
