"""Distillation objectives: what makes a student follow its teacher; chosen by `distillation.objective`."""

from minidisc_plugin.objectives.knowledge_distillation import KnowledgeDistillation
from minidisc_plugin.objectives.minidisc import MiniDiscObjective

__all__ = ["KnowledgeDistillation", "MiniDiscObjective"]
