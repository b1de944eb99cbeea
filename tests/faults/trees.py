"""Whole folders kept in memory: what lay there before an operation, to be put back later."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Tree:
    """What a folder held.

    Attributes:
        entries: By path: kind, mode, digest of the content (or a link's target).
        times: By path: when it was changed, in nanoseconds.
    """

    entries: tuple[tuple[str, str, int, str], ...]
    times: tuple[tuple[str, int], ...]

    @property
    def key(self) -> str:
        """The same for the same content."""
        return hashlib.sha256(repr(self.entries).encode()).hexdigest()[:16]

    @property
    def files(self) -> list[str]:
        """Paths of regular files."""
        return [path for path, kind, _, _ in self.entries if kind == "file"]

    def digest(self, path: str) -> str | None:
        """Of a file's content; None where there is no such file."""
        return next((digest for name, kind, _, digest in self.entries if name == path and kind == "file"), None)


class Trees:
    """Keeps contents by digest, each once."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    def take(self, root: Path) -> Tree:
        """What `root` holds now."""
        entries: list[tuple[str, str, int, str]] = []
        times: list[tuple[str, int]] = []
        for folder, folders, files in os.walk(root):
            folders.sort()
            for name in sorted([*folders, *files]):
                path = Path(folder, name)
                found = path.lstat()
                kind, digest = "folder", ""
                if stat.S_ISLNK(found.st_mode):
                    kind, digest = "link", os.readlink(path)
                elif stat.S_ISREG(found.st_mode):
                    content = path.read_bytes()
                    kind, digest = "file", hashlib.sha256(content).hexdigest()
                    self.contents.setdefault(digest, content)
                relative = str(path.relative_to(root))
                entries.append((relative, kind, stat.S_IMODE(found.st_mode), digest))
                times.append((relative, found.st_mtime_ns))
        return Tree(tuple(entries), tuple(times))

    def put(self, tree: Tree, root: Path) -> None:
        """Make `root` hold what it held then, and nothing else."""
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        for relative, kind, mode, digest in tree.entries:
            path = root / relative
            if kind == "folder":
                path.mkdir()
            elif kind == "link":
                path.symlink_to(digest)
                continue
            else:
                path.write_bytes(self.contents[digest])
            path.chmod(mode)
        for relative, changed in reversed(tree.times):
            os.utime(root / relative, ns=(changed, changed), follow_symlinks=False)


def changed(before: Tree, after: Tree) -> set[str]:
    """Paths that are new, gone or other."""
    return {path for path, *_ in set(before.entries) ^ set(after.entries)}
