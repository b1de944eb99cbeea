"""Folder that `evaluate.load` reads; the metric is in the module of the same name."""
