"""Jobs done in a folder: prepared, given to workers, marked as done and logged."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from fluxeq.errors import InputError, JobError, as_fault
from fluxeq.system.files import locked
from fluxeq.workflow.executors import Fleet
from fluxeq.workflow.forecast import Forecast
from fluxeq.workflow.job import Job, Spent
from fluxeq.workflow.log import append, entries
from fluxeq.workflow.records import lock, mark, prepare, prepared_as
from fluxeq.workflow.scheduler import Batch, Scheduler


class Event(NamedTuple):
    """Jobs have begun, or one has just been done."""

    job: Job | None
    """That has been done; None if some have begun."""
    n_done: int
    n_jobs: int
    running: Mapping[str, float]
    """For how many seconds jobs have been at work, by name, the longest first."""
    seconds_left: float


def work_off(
    folder: Path,
    jobs: Sequence[Job],
    fingerprints: Mapping[str, str],
    fleet: Fleet,
    planned: Sequence[Job],
    report: Callable[[Event], None],
) -> None:
    """Do these jobs, those of all that are planned that are not done, each when all that it needs is done."""
    folder = folder.absolute()  # workers may have been started in another folder
    begun: dict[str, float] = {}
    left = forecast(folder, jobs, planned, fleet.n)
    n_jobs, n_done = len(planned), len(planned) - len(jobs)

    def told(job: Job | None) -> None:
        now = time.monotonic()
        running = {name: now - at for name, at in begun.items()}
        report(Event(job, n_done, n_jobs, running, left.seconds(running)))

    def submit(executor: Executor, batch: Batch) -> Future[Spent]:
        for job in batch:
            prepare(folder, job, fingerprints[job.name])
            begun[job.name] = time.monotonic()
        told(None)
        return executor.submit(perform, folder, batch, [fingerprints[job.name] for job in batch])

    for batch, spent in Scheduler(jobs, fleet, submit).results():
        each = spent.shared_by(len(batch))
        for job in batch:
            mark(folder, job, fingerprints[job.name], done=True)
            append(folder, job, fingerprints[job.name], each)
            n_done += 1
            del begun[job.name]
            left.done(job, each.total)
            told(job)


def forecast(folder: Path, jobs: Sequence[Job], planned: Sequence[Job], n_workers: float) -> Forecast:
    """How long these jobs still take, given what the log of the folder says of the others."""
    names = {job.name for job in jobs}
    seconds = {entry["job"]: entry["seconds"] for entry in entries(folder) if entry}
    return Forecast(planned, {job.name: seconds.get(job.name) for job in planned if job.name not in names}, n_workers)


def perform(folder: Path, jobs: Sequence[Job], prepared_for: Sequence[str]) -> Spent:
    """Do jobs of one group that were prepared for these fingerprints; no other copy of them works meanwhile.

    An executor may give a job away again though the one who had it still works, cut off from the others. Then the
    second copy waits here until the first one has finished or died, and goes on from what that has left. Raises
    InputError if a job has been prepared with other settings meanwhile, and else what can go from one process to
    another: InputError, OSError, MemoryError, and JobError for anything else.
    """
    start = time.monotonic()
    try:
        with ExitStack() as held:
            for job, fingerprint in zip(jobs, prepared_for, strict=True):
                held.enter_context(locked(lock(folder, job.name)))
                if prepared_as(folder, job.name) != fingerprint:
                    raise InputError(f"{job.name}: has got other settings meanwhile; start the run again")
            kind = type(jobs[0].work)
            with kind.watched() as parts:
                kind.run_many([job.work for job in jobs], folder)
        return Spent(time.monotonic() - start, parts)
    except (InputError, OSError, MemoryError):
        raise
    except Exception as error:
        told = as_fault(error)
    raise JobError(told)  # out here, since Dask sends the context of an exception along, which may not be sent
