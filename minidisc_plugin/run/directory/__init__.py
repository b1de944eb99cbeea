"""The output directory of a run: who may write into it, where each thing lives, and what was written by whom."""
