"""What `benchmarks.evidence` needs on a machine that reaches no package registry, as folders of a limited size.

python -m benchmarks.pack FOLDER --archive vaderSentiment-3.3.2.tar.gz [--wheels FOLDER] [--teachers minilm mpnet]

makes FOLDER/1, FOLDER/2, ...; benchmarks/unpack.py puts them together again there. Weights travel in half precision:
what is fine-tuned starts from them.
"""

from __future__ import annotations

import argparse
import shutil
from importlib.metadata import distribution
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.mpnet import FILES, pretrained_mpnet
from benchmarks.tasks import GLUE, demo
from benchmarks.unpack import GLUE_FOLDER, PART, PRETRAINED, SITE, WHEELS

if TYPE_CHECKING:
    from torch import Tensor

MIB = 2**20
WEIGHTS = "model.safetensors"


class Parcel:
    """Folders, each filled up to a size before the next one is begun.

    Args:
        folder: Holds them.
        limit: Bytes of each; a single file or tensor may be larger.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self._limit = folder, limit
        self._number, self._filled = 1, 0

    def file(self, source: Path, place: str) -> None:
        """Take along a file."""
        target = self._room(source.stat().st_size) / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)

    def text(self, content: str, place: str) -> None:
        """Take along a text."""
        target = self._room(len(content.encode())) / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")

    def weights(self, source: Path, place: str) -> None:
        """Take along weights, tensor by tensor, the largest first."""
        from safetensors.torch import load_file, save_file

        parts: dict[Path, dict[str, Tensor]] = {}
        for name, value in sorted(load_file(source).items(), key=lambda item: -item[1].nbytes):
            small = value.half() if value.is_floating_point() else value
            parts.setdefault(self._room(small.nbytes), {})[name] = small
        for number, (folder, part) in enumerate(parts.items()):
            target = folder / place / f"{number}{PART}"
            target.parent.mkdir(parents=True, exist_ok=True)
            save_file(part, target)

    def _room(self, size: int) -> Path:
        if self._filled and self._filled + size > self._limit:
            self._number, self._filled = self._number + 1, 0
        self._filled += size
        return self.folder / str(self._number)


def pack(folder: Path, limit: int, teachers: list[str], archive: Path, glue: Path, wheels: Path | None) -> int:
    """Make the folders; returns how many.

    Args:
        folder: Is not there yet.
        limit: Bytes of each.
        teachers: `minilm`, `mpnet`.
        archive: Source distribution of vadersentiment.
        glue: Holds MRPC.
        wheels: Of packages that are missing there.
    """
    parcel = Parcel(folder, limit)
    parcel.file(archive, archive.name)
    for file in sorted((glue / "MRPC").glob("*.tsv")):
        parcel.file(file, f"{GLUE_FOLDER}/MRPC/{file.name}")
    for wheel in sorted(wheels.glob("*.whl")) if wheels else []:
        parcel.file(wheel, f"{WHEELS}/{wheel.name}")
    # A checkout on PYTHONPATH has no entry points, and schedulers are found by theirs.
    own = distribution("minidisc-plugin")
    metadata = f"{SITE}/minidisc_plugin-{own.version}.dist-info"
    parcel.text(f"Metadata-Version: 2.1\nName: minidisc-plugin\nVersion: {own.version}\n", f"{metadata}/METADATA")
    parcel.text(own.read_text("entry_points.txt") or "", f"{metadata}/entry_points.txt")
    with TemporaryDirectory(dir=folder.parent) as scratch:
        for teacher in teachers:
            source = demo().pretrained_folder() if teacher == "minilm" else pretrained_mpnet(Path(scratch) / teacher)
            place = PRETRAINED.format(teacher)
            for name in FILES:
                if name != WEIGHTS:
                    parcel.file(source / name, f"{place}/{name}")
            parcel.weights(source / WEIGHTS, place)
    return len(list(folder.iterdir()))


def main() -> None:
    """Parse the command line, and pack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="to make")
    parser.add_argument("--piece", type=int, default=54, metavar="MIB", help="size of each folder in it (54)")
    parser.add_argument("--teachers", nargs="+", choices=["minilm", "mpnet"], default=["minilm", "mpnet"])
    parser.add_argument("--archive", type=Path, required=True, help="vaderSentiment-3.3.2.tar.gz")
    parser.add_argument("--glue", type=Path, default=GLUE, help=f"folder that holds MRPC/*.tsv ({GLUE})")
    parser.add_argument("--wheels", type=Path, help="folder with wheels of packages that are missing there")
    options = parser.parse_args()
    options.folder.mkdir(parents=True)
    count = pack(options.folder, options.piece * MIB, options.teachers, options.archive, options.glue, options.wheels)
    print(f"{options.folder}: {count} folders")


if __name__ == "__main__":
    main()
