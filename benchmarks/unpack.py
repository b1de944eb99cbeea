"""Put together what benchmarks/pack.py made; needs torch and safetensors alone.

python benchmarks/unpack.py FOLDER WORK

fills WORK (`--work` of benchmarks.evidence), and WORK/site, which belongs on PYTHONPATH beside this checkout.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

PART = ".part.safetensors"
PRETRAINED = "{}/pretrained"
GLUE_FOLDER = "glue"
SITE = "site"
WHEELS = "wheels"


def unpack(parcel: Path, work: Path) -> None:
    """Copy files to their places, join weights in single precision, install wheels.

    Args:
        parcel: Holds the folders 1, 2, ...
        work: May be there already.
    """
    from safetensors.torch import load_file, save_file

    for piece in sorted(parcel.iterdir()):
        shutil.copytree(piece, work, dirs_exist_ok=True)
    for folder in {part.parent for part in work.rglob(f"*{PART}")}:
        parts = sorted(folder.glob(f"*{PART}"))
        weights = {name: value for part in parts for name, value in load_file(part).items()}
        whole = {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}
        save_file(whole, folder / "model.safetensors", metadata={"format": "pt"})
        for part in parts:
            part.unlink()
    wheels = sorted((work / WHEELS).glob("*.whl"))
    if wheels:
        words = ["install", "--quiet", "--no-index", "--no-deps", "--upgrade", "--target", str(work / SITE)]
        subprocess.run([sys.executable, "-m", "pip", *words, *map(str, wheels)], check=True)


if __name__ == "__main__":
    unpack(Path(sys.argv[1]), Path(sys.argv[2]))
