"""Commands run in forks of this process, which has imported everything once."""

from __future__ import annotations

import gc
import importlib
import os
import re
import select
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from tests.faults.shim import Fault, Operation, arm, read_log

TIMEOUT = 240.0


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        status: Its exit status; None when it was killed.
        hung: It was killed, for it did not end.
        pid: It had this one.
        output: Its standard output.
        errors: Its standard error.
        operations: How it changed the files that are watched.
    """

    status: int | None
    hung: bool
    pid: int
    output: str
    errors: str
    operations: list[Operation]

    @property
    def line(self) -> str | None:
        """The one line that says what went wrong; None unless there is exactly one, at the end, and no traceback."""
        lines = [line for line in self.errors.replace("\r", "\n").splitlines() if line.strip()]
        said = [line for line in lines if line.startswith("minidisc: ")]
        clean = len(said) == 1 and lines[-1] == said[0] and "Traceback (most recent" not in self.errors
        return said[0] if clean and self.status in (1, 2) else None

    def __str__(self) -> str:
        if self.hung:
            return "it hung"
        said = [line.strip() for line in self.errors.replace("\r", "\n").splitlines() if line.strip()]
        how = ["killed" if self.status is None else f"status {self.status}", *said[-1:]]
        ours = re.findall(r'minidisc_plugin/([\w/]+\.py)", line (\d+)', self.errors)
        if ours and "Traceback" in self.errors:
            how.insert(1, f"traceback at {ours[-1][0]}:{ours[-1][1]}")
        return ": ".join(how)


class Child:
    """A command in a fork of this process.

    Args:
        arguments: Of `minidisc`.
        scratch: A folder for what it says; also its working directory.
        root: What is watched.
        fault: What it meets.
        stepwise: It waits before every operation until `go` is called.
        pause_at: It waits before this operation.
        modules: A file for the names of the modules that it had imported in the end.
        delay: Seconds to wait before it begins.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        scratch: Path,
        root: Path,
        fault: Fault | None = None,
        *,
        stepwise: bool = False,
        pause_at: int = 0,
        modules: Path | None = None,
        delay: float = 0.0,
    ) -> None:
        scratch.mkdir(parents=True, exist_ok=True)
        self._files = {name: scratch / name for name in ("output", "errors", "operations")}
        for file in self._files.values():
            file.unlink(missing_ok=True)
        asked, ask = os.pipe()
        answer, answered = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(asked)
            os.close(answered)
            asks = stepwise or pause_at > 0
            try:
                time.sleep(delay)
                os.chdir(scratch)
                for number, name in ((1, "output"), (2, "errors")):
                    os.dup2(os.open(self._files[name], os.O_WRONLY | os.O_CREAT, 0o600), number)
                log = os.open(self._files["operations"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                _run(arguments, root, fault, log, ask if asks else -1, answer if asks else -1, pause_at, modules)
            finally:
                os._exit(99)
        os.close(ask)
        os.close(answer)
        self._asked, self._answered = asked, answered

    def waits(self, timeout: float = TIMEOUT) -> bool:
        """Wait until it waits before an operation (True) or ends (False)."""
        if self._asked < 0:
            return False
        ready, _, _ = select.select([self._asked], [], [], timeout)
        if ready and os.read(self._asked, 1):
            return True
        self._close()
        return False

    def go(self) -> None:
        """Let it do the operation that it waits before."""
        with suppress(BrokenPipeError):
            os.write(self._answered, b"!")

    def end(self, timeout: float = TIMEOUT) -> Ended:
        """Wait until it ends; kill it when it does not."""
        deadline = time.monotonic() + timeout
        while self._asked >= 0 and time.monotonic() < deadline and self.waits(deadline - time.monotonic()):
            self.go()
        hung = False
        while True:
            pid, how = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > deadline and not hung:
                hung = True
                os.kill(self.pid, signal.SIGKILL)
            time.sleep(0.005)
        self._close()
        said = {name: self._said(name) for name in ("output", "errors")}
        log = self._files["operations"]
        operations = read_log(log) if log.exists() else []
        status = os.WEXITSTATUS(how) if os.WIFEXITED(how) else None
        return Ended(status, hung, self.pid, said["output"], said["errors"], operations)

    def _said(self, name: str) -> str:
        file = self._files[name]
        return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""

    def _close(self) -> None:
        for number in (self._asked, self._answered):
            if number >= 0:
                os.close(number)
        self._asked = self._answered = -1


def steps(child: Child) -> Iterator[None]:
    """Each time before an operation of a stepwise child."""
    while child.waits():
        yield
        child.go()


def in_fork(function: object, *arguments: object) -> None:
    """Call a function in a fork, so that this process starts no threads.

    Raises:
        RuntimeError: it failed.
    """
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            function(*arguments)  # type: ignore[operator]
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    if os.waitpid(pid, 0)[1]:
        raise RuntimeError(f"{function} failed")


def import_all(names: Sequence[str]) -> None:
    """Import modules that a child needed, and read once what each of them would, so that the next ones have it."""
    for name in names:
        if name not in sys.modules and not name.startswith(("__", "tests.", "datasets_modules", "evaluate_modules")):
            with suppress(Exception):
                importlib.import_module(name)
    _read_once()
    gc.collect()
    gc.freeze()  # a fork need not look at, and so copy, what all of them share: a third of a tiny run's time
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        print(f"note: imports started {threads - 1} threads, which forks do without", file=sys.stderr)


def _read_once() -> None:
    """What is installed, fonts, and names of weights in older files: each run reads them from its start."""
    from matplotlib.figure import Figure

    from minidisc_plugin.integrations.requirements.diagnosis import installed_versions

    installed_versions()
    figure = Figure(layout="constrained")
    figure.subplots(1, 2)
    figure.savefig(BytesIO(), format="png")
    with suppress(ImportError):  # not in older releases of transformers
        from transformers.conversion_mapping import get_checkpoint_conversion_mapping

        get_checkpoint_conversion_mapping("bert")


def _run(
    arguments: Sequence[str],
    root: Path,
    fault: Fault | None,
    log: int,
    ask: int,
    answer: int,
    pause_at: int,
    modules: Path | None,
) -> None:
    """The command, in a process of its own; never returns."""
    import random

    import numpy as np
    import torch

    from minidisc_plugin.cli import main
    from minidisc_plugin.run.measuring import measure, results
    from minidisc_plugin.schedulers import workbench

    # What a run leaves to chance must not be the same in two of them, for both are forks of one process.
    random.seed()
    np.random.seed(random.randrange(2**32))
    torch.manual_seed(random.randrange(2**32))
    torch.set_num_threads(1)

    def briefly(models, batch1, batch32):  # times are not compared
        return measure.time_models(models, batch1, batch32, warmup=1, rounds=1)

    results.time_models = briefly
    workbench.DRAWS = 10  # of the bootstrap; in all runs alike
    sys.stdout = os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = os.fdopen(2, "w", encoding="utf-8")
    status = 99
    try:
        arm(root, fault, log=log, ask=ask, answer=answer, pause_at=pause_at)
        status = main(arguments)
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        traceback.print_exc()
        status = 1
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        if modules is not None:
            modules.write_text("\n".join(list(sys.modules)), encoding="utf-8")
        os._exit(status)
