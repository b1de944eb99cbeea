"""Where one scenario is run over and over, always under the same path, and what its uninterrupted run left."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.children import Child, Ended, import_all, steps
from tests.faults.outcome import difference, outcome
from tests.faults.scenarios import Scenario, write_config
from tests.faults.shim import Fault, Operation
from tests.faults.trees import Tree, Trees, changed


@dataclass(frozen=True)
class Recording:
    """An uninterrupted run.

    Attributes:
        operations: What it did to files.
        before: What lay there before each of them.
        finished: What lies there in the end.
        outcome: What counts of it.
        unseen: By the operation before: what lay there before a rename that did not go through libc.
    """

    operations: list[Operation]
    before: list[Tree]
    finished: Tree
    outcome: dict[str, Any]
    unseen: dict[int, Tree]


class Place:
    """A folder for the runs of one scenario.

    Args:
        scenario: What is run.
        inputs: Teacher and data.
        folder: Where; `root` in it is watched and holds nothing but `out`.
    """

    def __init__(self, scenario: Scenario, inputs: Path, folder: Path) -> None:
        self.scenario = scenario
        self.folder = folder
        self.root = folder / "root"
        self.out = self.root / "out"
        self.trees = Trees()
        shutil.rmtree(folder, ignore_errors=True)
        self.root.mkdir(parents=True)
        self.config = folder / "compression.yaml"
        write_config(scenario, inputs, self.out, self.config)
        self._modules = folder / "modules"
        self.start: Tree = self.trees.take(self.root)
        self.old: dict[str, Any] | None = None
        if scenario.replaces:
            first = folder / "old.yaml"
            write_config(scenario, inputs, self.out, first, seed=0)
            self._must(Child(["run", str(first)], folder / "child", self.root, modules=self._modules).end())
            import_all(self._modules.read_text(encoding="utf-8").splitlines())
            self.start, self.old = self.trees.take(self.root), outcome(self.out)
        self.recording = self._record()

    @property
    def arguments(self) -> list[str]:
        """Of the uninterrupted run."""
        return ["run", str(self.config), *(["--overwrite"] if self.scenario.replaces else [])]

    def run(self, *options: str, fault: Fault | None = None, **others: Any) -> Ended:
        """`minidisc run` with options, to its end."""
        return self.begin(["run", str(self.config), *options], fault, **others).end()

    def begin(self, arguments: Sequence[str], fault: Fault | None = None, name: str = "child", **others: Any) -> Child:
        """A command that has begun."""
        return Child(list(arguments), self.folder / name, self.root, fault, **others)

    def put(self, tree: Tree) -> None:
        """Let the folder hold what it held then."""
        self.trees.put(tree, self.root)

    def go_on(self) -> Ended:
        """What a user does after a run that did not end well: resume, or start where there is nothing yet."""
        begun = self.out.is_dir() and any(self.out.iterdir())
        return self.run("--resume") if begun else self.run()

    def differs(self, kept: str | None = None) -> str | None:
        """How what lies there differs from the uninterrupted run, or None; `kept` may be there."""
        found = outcome(self.out)
        found.pop(kept or "", None)
        return difference(self.recording.outcome, found)

    def _record(self) -> Recording:
        self.put(self.start)
        child = self.begin(self.arguments, stepwise=True, modules=self._modules)
        before = [self.trees.take(self.root) for _ in steps(child)]
        ended = self._must(child.end())
        import_all(self._modules.read_text(encoding="utf-8").splitlines())
        finished = self.trees.take(self.root)
        assert len(before) == len(ended.operations)
        unseen: dict[int, Tree] = {}
        mapped: set[str] = set()
        for operation, held, after in zip(ended.operations, before, [*before[1:], finished], strict=True):
            state = _before_raw_rename(operation, held, after)
            if state is not None:
                unseen[operation.number] = state
            elif operation.name == "map":
                mapped.add(Path(operation.path).name)
            elif operation.name != "rename":
                others = changed(held, after) - {operation.path}
                if missed := sorted(path for path in others if Path(path).name not in mapped):
                    raise RuntimeError(f"the shim missed changes of {missed} after operation {operation}")
        return Recording(ended.operations, before, finished, outcome(self.out), unseen)

    def _must(self, ended: Ended) -> Ended:
        if ended.status != 0:
            raise RuntimeError(f"{self.scenario.name} does not run without a fault: {ended.errors[-3000:]}")
        return ended


def _before_raw_rename(operation: Operation, held: Tree, after: Tree) -> Tree | None:
    """What lay there when a file was written whole, and not yet renamed by a system call that the shim cannot see.

    Rust's temporary files, which safetensors saves to, are renamed so.
    """
    if operation.name not in ("write", "write-rest") or held.digest(operation.path) is None:
        return None
    if after.digest(operation.path) is not None:
        return None
    new = [entry for entry in after.entries if entry[0] not in (operation.path,) and entry not in held.entries]
    if len(new) != 1:
        return None
    (target, kind, mode, digest), times = new[0], dict(after.times)
    entries = [entry for entry in after.entries if entry[0] != target]
    entries += [entry for entry in held.entries if entry[0] == target]
    entries.append((operation.path, kind, mode, digest))
    times[operation.path] = times[target]
    names = {entry[0] for entry in entries}
    return Tree(tuple(sorted(entries)), tuple((name, time) for name, time in sorted(times.items()) if name in names))
