"""A run: the jobs of a study, done in a folder by an executor, skipped where they are done, continued where killed.

``.jobs`` in the run folder keeps one record a job, with the fingerprint of its settings and of all it builds on: a job
is skipped when its record says done, its fingerprint is that of the study, and its outputs are there.
"""

import fcntl
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from fluxeq.errors import InputError
from fluxeq.files import read_json, remove_unfinished, write_text
from fluxeq.studies.jobs import work
from fluxeq.studies.plan import Job, digests, plan
from fluxeq.studies.study import Study, load_study, study_text


class Event(NamedTuple):
    """A job that has just been done."""

    job: Job
    seconds: float
    n_done: int
    n_jobs: int


class Progress(NamedTuple):
    """How many jobs of one kind are done."""

    kind: str
    n_done: int
    n_jobs: int


def reproduce(
    study: str | Path,
    run: Path,
    executor: Callable[[], AbstractContextManager[Executor]],
    report: Callable[[Event], None],
) -> int:
    """Do every job of the study (a shipped name or a TOML file) that is not done yet; how many that were.

    Raises InputError if the folder holds a run of another study, or another process works in it.
    """
    jobs = plan(load_study(study))
    _require_run_of(study, run)
    run.mkdir(parents=True, exist_ok=True)
    with _locked(run):
        remove_unfinished(run)
        write_text(run / "study.toml", study_text(study))
        fingerprints = digests(jobs)
        missing = [job for job in jobs if not is_done(run, job, fingerprints[job.name])]
        if missing:
            with executor() as pool:
                _work_off(run, missing, fingerprints, pool, len(jobs), report)
        return len(missing)


def progress(run: Path, study: Study) -> list[Progress]:
    """How far a run is, by kind of job, in the order of the work."""
    jobs = plan(study)
    fingerprints = digests(jobs)
    done = {job.name: is_done(run, job, fingerprints[job.name]) for job in jobs}
    kinds = dict.fromkeys(job.kind for job in jobs)
    of_kind = {kind: [done[job.name] for job in jobs if job.kind == kind] for kind in kinds}
    return [Progress(kind, sum(states), len(states)) for kind, states in of_kind.items()]


def is_done(run: Path, job: Job, fingerprint: str) -> bool:
    """Whether the outputs of a job are there and belong to these settings."""
    record = _record(run, job)
    if not record.exists() or read_json(record) != {"fingerprint": fingerprint, "done": True}:
        return False
    return all((run / output).exists() for output in job.outputs)


def _record(run: Path, job: Job) -> Path:
    return run / ".jobs" / f"{job.name.replace('/', '.')}.json"


def _work_off(
    run: Path,
    missing: list[Job],
    fingerprints: dict[str, str],
    pool: Executor,
    n_jobs: int,
    report: Callable[[Event], None],
) -> None:
    """Submit each job when all that it needs is done, the heaviest first."""
    waiting = {job.name: job for job in missing}
    running: dict[Future[float], Job] = {}
    n_done = n_jobs - len(missing)
    blocked = set(waiting)
    while waiting or running:
        ready = [job for job in waiting.values() if blocked.isdisjoint(job.needs)]
        for job in sorted(ready, key=lambda job: -job.weight):
            arguments = (run, job.kind, job.settings, fingerprints[job.name], _record(run, job), list(job.outputs))
            running[pool.submit(timed, *arguments)] = waiting.pop(job.name)
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            job = running.pop(future)
            seconds = future.result()
            blocked.remove(job.name)
            n_done += 1
            _log(run, job, seconds)
            report(Event(job, seconds, n_done, n_jobs))


def timed(*arguments: object) -> float:
    """Do a job; the seconds that it took."""
    start = time.monotonic()
    work(*arguments)  # type: ignore[arg-type]
    return time.monotonic() - start


def _log(run: Path, job: Job, seconds: float) -> None:
    line = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "job": job.name, "seconds": round(seconds, 3)}
    with (run / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


@contextmanager
def _locked(run: Path) -> Iterator[None]:
    """Keep other processes of this machine out of the run folder."""
    with (run / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{run}: another process is working on this run; wait for it or stop it") from None
        yield


def _require_run_of(study: str | Path, run: Path) -> None:
    """Raise InputError if the folder is in use for something else."""
    if run.exists() and not run.is_dir():
        raise InputError(f"{run}: is a file; choose a folder for the run")
    if (run / "study.toml").exists():
        here, there = load_study(study).name, open_run(run).name
        if there != here:
            raise InputError(f"{run}: holds a run of study {there!r}, not {here!r}; choose another --output")
    elif run.exists() and any(run.iterdir()):
        raise InputError(f"{run}: is not empty and not a run; choose another --output")


def open_run(run: Path) -> Study:
    """The study of a run folder. Raises InputError if it is not one."""
    if not (run / "study.toml").is_file():
        raise InputError(f"{run}: not a run; make one with 'fluxeq reproduce quick --output {run}'")
    return load_study(run / "study.toml")
