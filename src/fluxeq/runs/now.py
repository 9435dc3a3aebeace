"""Current activity of a run, written to a file by the process that works on it."""

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
"""Number of latest trainings whose losses are shown."""


class Activity(NamedTuple):
    """The activity of a process."""

    where: str
    """Machine and process id."""
    seconds: float
    """Seconds since the process started."""
    running: dict[str, float]
    """Seconds that running jobs have taken so far, by name."""
    seconds_left: float


@contextmanager
def announce_activity(run: Path) -> Iterator[Callable[[Event], None]]:
    """Announce the activity of this process in a run until the block ends."""
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


def current_activity(run: Path) -> Activity | None:
    """The current activity; None if no process works on the run, or it has died."""
    try:
        found: Any = read_json(run / FILE)
        here = found["host"] == platform.node()
        if here and not _is_alive(int(found["pid"])):
            return None
        now = time.time()
        running = {str(name): max(0.0, now - begun) for name, begun in found["running"].items()}
        left = max(0.0, found["seconds_left"] - (now - found["at"]))
        return Activity(f"process {found['pid']} on {found['host']}", now - found["since"], running, left)
    except (InputError, OSError, AttributeError, KeyError, TypeError, ValueError):
        return None


def details(run: Path, jobs: list[Job], now: Activity | None) -> dict[str, str]:
    """Progress of running searches and losses of the latest trainings, by job name."""
    known = {job.name: job.work for job in jobs}
    found: dict[str, str] = {}
    for name in now.running if now else ():
        if isinstance(work := known.get(name), Search):
            with suppress(InputError):  # damaged journal; the search itself reports it
                n = _trials(run / work.output / "journal.log")
                found[name] = f"{n} of {work.settings.trials} settings"
    done = dict.fromkeys(entry["job"] for entry in reversed(entries(run)) if entry)
    trained = [(name, work) for name in done if isinstance(work := known.get(name), Train)]
    for name, work in trained[:LATEST]:
        with suppress(InputError):  # the file was removed
            loss = learning_curve(run / work.model)["validation_loss"].min()
            found[name] = f"validation loss {loss:.2e}"
    return found


def _is_alive(pid: int) -> bool:
    if os.name == "nt":  # where os.kill would end the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # process of another user
        return True
    return True


def _trials(journal: Path) -> int:
    """Number of trials of a search so far."""
    from optuna.trial import TrialState

    from fluxeq.searching.storage import open_storage

    if not journal.is_file():
        return 0
    storage = open_storage(str(journal))
    states = (TrialState.COMPLETE,)
    return sum(len(storage.get_all_trials(study._study_id, False, states)) for study in storage.get_all_studies())
