"""`python -m tests.faults`: try faults, print a table, and name what failed."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from tests.faults import shim
from tests.faults.cells import ROOT, Case, Ledger, Tried, table

LINES = ROOT / "runs" / "faults" / "cases.jsonl"
KINDS = ("kill", "errors", "starts", "damage")
# How many of each kind are a sample of all, where it is more than one.
_SAMPLE = {"kill": 5, "ENOSPC": 2, "damage": 6}
_SAMPLED = "small"


def main() -> int:
    """Try what was asked for; status 1 when something failed."""
    options = _parser().parse_args()
    if reason := shim.missing():
        print(f"skipped: {reason}")
        return 0
    if options.report:
        return _told(list(Ledger(options.lines).tried.values()))
    if options.jobs > 1:
        _in_parts(options.jobs)
        return _told(list(Ledger(options.lines).tried.values()))
    with _work_folder() as work:
        shim.preload(work)
        single = options.only or options.at
        ledger = Ledger(None if single else options.lines)
        deadline = time.monotonic() + options.minutes * 60
        for case in _cases(work, options):
            if options.list:
                print(f"{case.key} ({case.about})")
                continue
            if case.key in ledger.tried and not single:
                continue
            one = ledger.attempt(case)
            if options.quick or single or one.result == "failed":
                print(f"{one.result}: {one.key} ({one.about}) {one.why}", flush=True)
            if time.monotonic() > deadline:
                print("cut off; the same command goes on")
                break
    part = options.shard != (0, 1)
    return 0 if part else _told(list(ledger.tried.values()))


def _in_parts(count: int) -> None:
    """The same command in so many processes, each with its part."""
    command = [sys.executable, "-m", "tests.faults", *sys.argv[1:]]
    parts = [subprocess.Popen([*command, "--jobs", "1", "--shard", f"{part}/{count}"]) for part in range(count)]
    for part in parts:
        part.wait()


def repeat(kind: str) -> int:
    """The command line of one kind of fault: `--scenario X --at N`."""
    sys.argv[1:1] = ["--kind", kind]
    return main()


def _cases(work: Path, options: argparse.Namespace) -> Iterator[Case]:
    from tests.faults import damage, errors, kill, starts
    from tests.faults.children import import_all, in_fork
    from tests.faults.place import Place
    from tests.faults.scenarios import SCENARIOS, make_inputs

    import_all(["minidisc_plugin.cli", "minidisc_plugin.run.pipeline", "transformers.trainer"])
    in_fork(make_inputs, work / "inputs")
    makers = {"kill": kill.cases, "errors": errors.cases, "starts": starts.cases, "damage": damage.cases}
    names = options.scenario or ([_SAMPLED] if options.quick else [name for name in SCENARIOS if name != _SAMPLED])
    number = 0
    for name in names:
        scenario = SCENARIOS[name]
        if not scenario.available:
            print(f"{name}: {scenario.needs} is not installed")
            continue
        place = Place(scenario, work / "inputs", work / name)
        kinds = [kind for kind in options.kind or KINDS if kind in scenario.kinds]
        found = [case for kind in kinds for case in makers[kind](place) if scenario.touches in case.about]
        for case in _sample(found) if options.quick else found:
            number += 1
            shard, shards = options.shard
            if number % options.every == 0 and number // options.every % shards == shard and _wanted(case, options):
                yield case


def _sample(found: list[Case]) -> Iterator[Case]:
    """Some of each kind, evenly spread."""
    for kind in dict.fromkeys(case.kind for case in found):
        same = [case for case in found if case.kind == kind]
        count = min(_SAMPLE.get(kind, 1), len(same))
        yield from (same[(2 * place + 1) * len(same) // (2 * count)] for place in range(count))


def _wanted(case: Case, options: argparse.Namespace) -> bool:
    if options.only is not None and not fnmatchcase(case.key.partition("/")[2], options.only):
        return False
    if options.error is not None and case.kind != options.error:
        return False
    return options.at is None or case.name == str(options.at)


def _told(tried: list[Tried]) -> int:
    print(table(tried))
    failed = [one for one in tried if one.result == "failed"]
    for one in failed:
        print(f"failed: {one.key} ({one.about}): {one.why[-300:]}")
    return int(bool(failed))


@contextmanager
def _work_folder() -> Iterator[Path]:
    """A new folder, removed in the end by the process that has the shim, which goes on with the one it was built in."""
    folder = Path(os.environ.setdefault("MINIDISC_FAULT_WORK", tempfile.mkdtemp(prefix="minidisc-faults-")))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.faults", description=__doc__)
    parser.add_argument("--scenario", action="append", metavar="NAME", help="this one; may be given several times")
    parser.add_argument("--kind", action="append", choices=KINDS, help="of fault; may be given several times")
    parser.add_argument("--at", metavar="N", help="before this operation only")
    parser.add_argument("--error", metavar="NAME", help="with this error only, such as ENOSPC")
    parser.add_argument(
        "--only", metavar="PATTERN", help="cases whose `kind/name` is like this, and print how each ends"
    )
    parser.add_argument("--every", type=int, default=1, metavar="K", help="of K cases one")
    parser.add_argument("--shard", type=_shard, default=(0, 1), metavar="I/N", help="the I-th of N parts, from 0")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="so many processes share the work")
    parser.add_argument("--minutes", type=float, default=1e6, help="begin no case after so many")
    parser.add_argument("--quick", action="store_true", help="a sample of each kind")
    parser.add_argument("--lines", type=Path, default=LINES, metavar="FILE", help="where results are kept")
    parser.add_argument("--list", action="store_true", help="name the cases, try none")
    parser.add_argument("--report", action="store_true", help="print the table of what was tried")
    return parser


def _shard(text: str) -> tuple[int, int]:
    number, count = text.split("/")
    return int(number), int(count)


if __name__ == "__main__":
    sys.exit(main())
