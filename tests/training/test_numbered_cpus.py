"""Checkpoints load where several processes train on CPUs, each with a number of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from minidisc_plugin.training.numbered_cpus import load_to_numbered_cpus


def test_the_number_of_a_cpu_does_not_matter(tmp_path: Path) -> None:
    torch.save({"state": torch.arange(3.0)}, tmp_path / "optimizer.pt")
    load_to_numbered_cpus()
    count = len(torch.serialization._package_registry)
    load_to_numbered_cpus()
    assert len(torch.serialization._package_registry) == count
    for device in ("cpu", torch.device("cpu", 1)):
        found = torch.load(tmp_path / "optimizer.pt", map_location=device, weights_only=True)
        assert found["state"].tolist() == [0, 1, 2]
    with pytest.raises(RuntimeError):
        torch.load(tmp_path / "optimizer.pt", map_location="cpu:first", weights_only=True)
