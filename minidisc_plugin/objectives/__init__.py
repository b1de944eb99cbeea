"""Distillation objectives: what makes a student follow its teacher; chosen by `distillation.objective`."""

from minidisc_plugin.objectives.ad_kd import AdKd
from minidisc_plugin.objectives.codir import Codir
from minidisc_plugin.objectives.embeddings import Embeddings
from minidisc_plugin.objectives.hrkd import Hrkd
from minidisc_plugin.objectives.knowledge_distillation import KnowledgeDistillation
from minidisc_plugin.objectives.minidisc import MiniDiscObjective
from minidisc_plugin.objectives.ted import Ted

__all__ = ["AdKd", "Codir", "Embeddings", "Hrkd", "KnowledgeDistillation", "MiniDiscObjective", "Ted"]
