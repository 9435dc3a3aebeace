"""What a run is doing: said in a file by the process that works on it, and read by others."""

import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from fluxeq.analysis.curves import learning_curve
from fluxeq.errors import InputError
from fluxeq.runs.jobs import Search, Train
from fluxeq.system.files import read_json, remove, write_json
from fluxeq.workflow.execution import Event
from fluxeq.workflow.job import Job
from fluxeq.workflow.log import entries

FILE = ".now.json"
LATEST = 3
"""Trainings whose losses are told."""


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
            with suppress(InputError):  # its journal is damaged; the search will say so
                n = _trials(run / work.output / "journal.log")
                found[name] = f"{n} of {work.settings.trials} settings"
    done = dict.fromkeys(entry["job"] for entry in reversed(entries(run)) if entry)
    trained = [(name, work) for name in done if isinstance(work := known.get(name), Train)]
    for name, work in trained[:LATEST]:
        with suppress(InputError):  # it has gone
            loss = learning_curve(run / work.model)["validation_loss"].min()
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
    """Settings that a search has tried so far."""
    from optuna.trial import TrialState

    from fluxeq.searching.storage import open_storage

    if not journal.is_file():
        return 0
    storage = open_storage(str(journal))
    states = (TrialState.COMPLETE,)
    return sum(len(storage.get_all_trials(study._study_id, False, states)) for study in storage.get_all_studies())
