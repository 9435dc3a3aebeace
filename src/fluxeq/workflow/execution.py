"""Execution of jobs in a folder: prepare, submit to workers, mark as done, log."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from fluxeq.errors import InputError, JobError, bug_message
from fluxeq.system.files import locked
from fluxeq.workflow.executors import WorkerPools
from fluxeq.workflow.forecast import Forecast
from fluxeq.workflow.job import Job, Spent
from fluxeq.workflow.log import append, entries
from fluxeq.workflow.records import lock, mark, prepare, prepared_as
from fluxeq.workflow.scheduler import Batch, Scheduler


class Event(NamedTuple):
    """Jobs have started, or one has finished."""

    job: Job | None
    """The finished job; None if jobs have started."""
    n_done: int
    n_jobs: int
    running: Mapping[str, float]
    """Seconds that running jobs have taken so far, by name, the longest first."""
    seconds_left: float


def run_jobs(
    folder: Path,
    jobs: Sequence[Job],
    fingerprints: Mapping[str, str],
    pools: WorkerPools,
    planned: Sequence[Job],
    report: Callable[[Event], None],
) -> None:
    """Run these jobs, the unfinished ones of those ``planned``, each as soon as its dependencies are done."""
    folder = folder.absolute()  # workers may have been started in another folder
    begun: dict[str, float] = {}
    left = forecast(folder, jobs, planned, pools.n)
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
        return executor.submit(run_exclusively, folder, batch, [fingerprints[job.name] for job in batch])

    for batch, spent in Scheduler(jobs, pools, submit).results():
        each = spent.shared_by(len(batch))
        for job in batch:
            mark(folder, job, fingerprints[job.name], done=True)
            append(folder, job, fingerprints[job.name], each)
            n_done += 1
            del begun[job.name]
            left.done(job, each.total)
            told(job)


def forecast(folder: Path, jobs: Sequence[Job], planned: Sequence[Job], n_workers: float) -> Forecast:
    """Estimate the time these jobs take, based on the log of the folder."""
    names = {job.name for job in jobs}
    seconds = {entry["job"]: entry["seconds"] for entry in entries(folder) if entry}
    return Forecast(planned, {job.name: seconds.get(job.name) for job in planned if job.name not in names}, n_workers)


def run_exclusively(folder: Path, jobs: Sequence[Job], prepared_for: Sequence[str]) -> Spent:
    """Run jobs of one group that were prepared for these fingerprints, exclusively.

    An executor may resubmit a job although a disconnected worker is still running it. The second copy then waits here
    until the first has finished or died, and resumes from its files. Raises InputError if a job has been prepared with
    other settings meanwhile; errors of a job are raised if they can be pickled safely (InputError, OSError,
    MemoryError), and as JobError otherwise.
    """
    start = time.monotonic()
    try:
        with ExitStack() as held:
            for job, fingerprint in zip(jobs, prepared_for, strict=True):
                held.enter_context(locked(lock(folder, job.name)))
                if prepared_as(folder, job.name) != fingerprint:
                    raise InputError(f"{job.name}: its settings have changed meanwhile; start the run again")
            kind = type(jobs[0].work)
            with kind.watched() as parts:
                kind.run_many([job.work for job in jobs], folder)
        return Spent(time.monotonic() - start, parts)
    except (InputError, OSError, MemoryError):
        raise
    except Exception as error:
        told = bug_message(error)
    raise JobError(told)  # not in the except clause: Dask also sends the exception's context, which may not pickle
