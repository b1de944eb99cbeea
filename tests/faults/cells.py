"""Cases tried, each a line of a file: what was cut off goes on where it was."""

from __future__ import annotations

import hashlib
import json
import re
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parents[2]

_RANDOM = re.compile(r"(\.tmp-)[0-9a-f]{8}|(?<=/)(\.tmp)[A-Za-z0-9]{6}(?![A-Za-z0-9])|(?<=[0-9a-f]{32}-)()\d+")

Result = Literal["equal", "refused", "failed"]


@dataclass(frozen=True)
class Verdict:
    """How a case ended.

    Attributes:
        result: `equal` to the uninterrupted run; `refused` in one line whose advice then worked; or `failed`.
        why: Of a refusal the line, of a failure what happened.
    """

    result: Result
    why: str = ""


@dataclass(frozen=True)
class Case:
    """A fault, and what should come of it.

    Attributes:
        scenario: Which run.
        kind: Which kind of fault.
        name: Unique among its scenario and kind.
        about: The operation or the file that it meets.
        check: Tries it.
    """

    scenario: str
    kind: str
    name: str
    about: str
    check: Callable[[], Verdict]

    @property
    def key(self) -> str:
        """Its whole name, with a star for what is drawn at random in names of files."""
        return _RANDOM.sub(lambda found: f"{found[1] or found[2] or ''}*", f"{self.scenario}/{self.kind}/{self.name}")


@dataclass(frozen=True)
class Tried:
    """A line of the file."""

    key: str
    about: str
    result: str
    why: str
    seconds: float
    product: str


class Ledger:
    """Cases that were tried on the present state of the package.

    Args:
        file: Where lines are kept; None keeps none.
    """

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.product = product_version()
        self.tried: dict[str, Tried] = {}
        if file is not None and file.is_file():
            for line in file.read_text(encoding="utf-8").splitlines():
                if line.endswith("}"):  # the last one may be half
                    tried = Tried(**json.loads(line))
                    if tried.product == self.product:
                        self.tried[tried.key] = tried

    def attempt(self, case: Case) -> Tried:
        """Try a case and write it down."""
        started = time.perf_counter()
        try:
            verdict = case.check()
        except Exception as error:  # of these tests themselves: told, and the others go on
            verdict = Verdict("failed", f"{error!r} {traceback.format_exc()[-400:]}")
        seconds = round(time.perf_counter() - started, 2)
        tried = Tried(case.key, case.about, verdict.result, verdict.why, seconds, self.product)
        self.tried[case.key] = tried
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(asdict(tried)) + "\n")
        return tried


def product_version() -> str:
    """Of the package's source: another one has to be tried anew."""
    digest = hashlib.sha256()
    for file in sorted((ROOT / "minidisc_plugin").rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def table(tried: list[Tried]) -> str:
    """One row for each scenario and kind of fault."""
    rows: dict[tuple[str, str], list[str]] = {}
    for one in tried:
        scenario, kind, _ = one.key.split("/", 2)
        rows.setdefault((scenario, kind), []).append(one.result)
    lines = [f"{'scenario':<11} {'fault':<22} {'tried':>6} {'equal':>6} {'refused':>8} {'failed':>7}"]
    lines.append("-" * len(lines[0]))
    for (scenario, kind), results in rows.items():
        lines.append(f"{scenario:<11} {kind:<22} " + _counts(results))
    lines.append(f"{'all':<11} {'':<22} " + _counts([one.result for one in tried]))
    return "\n".join(lines)


def _counts(results: list[str]) -> str:
    count = results.count
    return f"{len(results):>6} {count('equal'):>6} {count('refused'):>8} {count('failed'):>7}"
