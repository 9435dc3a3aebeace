"""What a run is doing: said in a file by the process that works on it, and read by others."""

import csv
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from fluxeq.errors import InputError
from fluxeq.runs.jobs import Search, Train
from fluxeq.system.files import read_json, remove, write_json
from fluxeq.workflow.execution import Event
from fluxeq.workflow.job import Job

FILE = ".now.json"
LATEST = 3
"""Trainings whose losses are told."""
FINISHED = {"op_code": 6, "state": 1}
"""The line of an Optuna journal that says that a trial is complete."""


class Now(NamedTuple):
    """What a process works on."""

    where: str
    """The machine and the number of the process."""
    seconds: float
    """Since it began."""
    running: dict[str, float]
    """For how many seconds, by the names of jobs."""
    seconds_left: float


@contextmanager
def announced(run: Path) -> Iterator[Callable[[Event], None]]:
    """Say what this process does in a run, until it ends."""
    me = {"host": platform.node(), "pid": os.getpid(), "since": time.time()}

    def announce(event: Event) -> None:
        now = time.time()
        running = {name: now - seconds for name, seconds in event.running.items()}
        write_json(run / FILE, {**me, "at": now, "running": running, "seconds_left": event.seconds_left})

    try:
        yield announce
    finally:
        with suppress(OSError):
            remove(run / FILE)


def now_of(run: Path) -> Now | None:
    """What is being done; None if nobody works on the run, or the process has died."""
    try:
        found: Any = read_json(run / FILE)
        here = found["host"] == platform.node()
        if here and not _is_alive(int(found["pid"])):
            return None
        now = time.time()
        running = {str(name): max(0.0, now - begun) for name, begun in found["running"].items()}
        left = max(0.0, found["seconds_left"] - (now - found["at"]))
        return Now(f"process {found['pid']} on {found['host']}", now - found["since"], running, left)
    except (InputError, OSError, AttributeError, KeyError, TypeError, ValueError):
        return None


def details(run: Path, jobs: list[Job], now: Now | None) -> dict[str, str]:
    """How far running searches are, and the losses of the trainings that ended last, by the names of jobs."""
    known = {job.name: job.work for job in jobs}
    found: dict[str, str] = {}
    for name in now.running if now else ():
        if isinstance(work := known.get(name), Search):
            n = _trials(run / work.output / "journal.log")
            found[name] = f"{n} of {work.settings.trials} settings"
    trained = [name for name in _logged(run) if isinstance(known.get(name), Train)]
    for name in list(dict.fromkeys(reversed(trained)))[:LATEST]:
        work = known[name]
        assert isinstance(work, Train)
        if (loss := _best_loss(run / work.byproducts[0])) is not None:
            found[name] = f"validation loss {loss:.2e}"
    return found


def _is_alive(pid: int) -> bool:
    if os.name == "nt":  # where this would end it
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return True


def _trials(journal: Path) -> int:
    """Complete trials in a journal, in which a line may be on its way."""
    n = 0
    with suppress(OSError):
        for line in journal.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError, AttributeError):
                n += json.loads(line).items() >= FINISHED.items()
    return n


def _logged(run: Path) -> Iterator[str]:
    """The names of the jobs that were done, in this order."""
    with suppress(OSError):
        for line in (run / "log.jsonl").read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError, TypeError, KeyError):
                yield str(json.loads(line)["job"])


def _best_loss(curve: Path) -> float | None:
    """The least validation loss of a learning curve; None if it is not there."""
    try:
        with curve.open(newline="", encoding="utf-8") as file:
            return min(float(row["validation_loss"]) for row in csv.DictReader(file))
    except (OSError, KeyError, TypeError, ValueError):
        return None
