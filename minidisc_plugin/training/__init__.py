"""Distillation on top of `transformers.Trainer`: objectives, arguments, the sandwich, the student."""
