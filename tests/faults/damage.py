"""Files of a run that are gone or broken: repaired or refused by name, and never taken for what they are not.

`python -m tests.faults.damage --scenario epochs --only 'damage/40:out/...:half'` repeats one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from minidisc_plugin.contracts.output import JOURNAL_FILE, RECORD_FILE
from tests.faults.cells import Case, Verdict
from tests.faults.children import Ended
from tests.faults.kill import judge
from tests.faults.place import Place
from tests.faults.trees import Tree

_FOR_PEOPLE = ("README.md", "tradeoff.png", "frontier.png")


def _flipped(content: bytes) -> bytes:
    """Some bytes in the middle, in every way that a bit can change."""
    middle = len(content) // 2
    part = bytes(byte ^ 0xFF for byte in content[middle : middle + 8])
    return content[:middle] + part + content[middle + len(part) :]


DAMAGES: Mapping[str, Callable[[bytes], bytes | None]] = {
    "gone": lambda content: None,
    "half": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "zeros": lambda content: bytes(len(content)),
    "flipped": _flipped,
}


def cases(place: Place) -> Iterator[Case]:
    """Each file of some interrupted runs and of the finished one, in each way."""
    name = place.scenario.name
    for label, state in _interesting(place).items():
        for file in state.files:
            for damage in DAMAGES:
                yield Case(
                    name,
                    "damage",
                    f"{label}:{file}:{damage}",
                    f"{file} {damage}",
                    lambda s=state, f=file, d=damage: _resumed(place, s, f, d),
                )
    for file in place.recording.finished.files:
        for damage in DAMAGES:
            for command in ("report", "select"):
                yield Case(
                    name,
                    f"damage, {command}",
                    f"{file}:{damage}",
                    f"{file} {damage}",
                    lambda f=file, d=damage, c=command: _asked(place, f, d, c),
                )


def _interesting(place: Place) -> dict[str, Tree]:
    """States in the middle of each stage, and the finished run.

    A stage is told by its folder; the middle of it is where most is there to be damaged.
    """
    stages: dict[str, list[int]] = {}
    for operation in place.recording.operations:
        parts = operation.path.split("/")
        if len(parts) > 2 and not parts[-1].startswith(".tmp"):
            stages.setdefault("/".join(parts[: 3 if parts[1] == "checkpoints" else 2]), []).append(operation.number)
    chosen = {}
    for numbers in stages.values():
        number = numbers[(2 * len(numbers)) // 3]
        chosen[str(number)] = place.recording.before[number - 1]
    return {**chosen, "finished": place.recording.finished}


def _break(place: Place, state: Tree, file: str, damage: str) -> bool:
    """Put a state with a broken file; false where the damage changes nothing."""
    place.put(state)
    path = place.root / file
    before = path.read_bytes()
    after = DAMAGES[damage](before)
    if after is None:
        path.unlink()
    else:
        path.write_bytes(after)
    return after != before


def _resumed(place: Place, state: Tree, file: str, damage: str) -> Verdict:
    if not _break(place, state, file, damage):
        return Verdict("equal", "nothing to damage")
    damaged = str((place.root / file).relative_to(place.out))
    verdict = judge(place, ended := place.run("--resume"), damaged)
    if Path(file).name == RECORD_FILE and ended.status == 2 and _names(ended, file) and "give another" in ended.errors:
        return Verdict("refused", ended.line or "")  # without it nobody knows what may be replaced
    gone = damage == "gone" and ended.status == 0 and verdict.result == "failed"
    if gone and _is_theirs(Path(file).name, verdict):
        return Verdict("equal", verdict.why)
    if verdict.result == "refused" and not _names(ended, file):
        return Verdict("failed", f"refused without the name of the file: {ended.line}")
    return verdict


def _is_theirs(name: str, verdict: Verdict) -> bool:
    """Whether a finished run rightly leaves it so: files for people, and a folder of checkpoints without a journal."""
    if name == JOURNAL_FILE:
        return "checkpoints/" in verdict.why
    return name in _FOR_PEOPLE and verdict.why.endswith(f"{name} is missing")


def _asked(place: Place, file: str, damage: str, command: str) -> Verdict:
    place.put(place.recording.finished)
    wanted = place.begin([command, str(place.out)]).end()
    if not _break(place, place.recording.finished, file, damage):
        return Verdict("equal", "nothing to damage")
    ended = place.begin([command, str(place.out)]).end()
    if wanted.status and (ended.status, ended.line) == (wanted.status, wanted.line):
        return Verdict(
            "equal", "refused as without the damage"
        )  # `select`, of a scheduler that does not choose by a rule
    if ended.status == 0:
        same = _tables(ended) == _tables(wanted)
        return Verdict("equal") if same else Verdict("failed", f"status 0, but it says otherwise: {ended.output}")
    if ended.status == 2 and ended.line is not None and _names(ended, file):
        return Verdict("refused", ended.line)
    return Verdict("failed", str(ended))


def _tables(ended: Ended) -> list[str]:
    """What it says but for the picture, which may be gone: then it is not named."""
    return [line for line in ended.output.rstrip().splitlines() if line.strip() and not line.startswith("plot: ")]


def _names(ended: Ended, file: str) -> bool:
    return Path(file).name in (ended.line or "")


if __name__ == "__main__":
    import sys

    from tests.faults.__main__ import repeat

    sys.exit(repeat("damage"))
