"""The parameter-shared network: where heads and neurons live, their ranking, slicing, extraction, checkpoints."""
