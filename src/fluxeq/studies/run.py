"""A run: the jobs of a study, done in a folder by an executor, skipped where they are done, continued where killed.

``.jobs`` in the run folder keeps one record a job, with the fingerprint of its settings and of all it builds on: a job
is skipped when its record says done, its fingerprint is that of the study, and its outputs are there. Records are
written here, never where a job is done, so that a job of an earlier start that is still at work somewhere cannot undo
what belongs to this one.
"""

import json
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from fluxeq.errors import InputError
from fluxeq.files import locked, read_json, remove, remove_unfinished, write_json, write_text
from fluxeq.studies.executors import has_room
from fluxeq.studies.jobs import WITH_NETWORKS, work
from fluxeq.studies.plan import Job, digests, part, plan
from fluxeq.studies.study import TASK_NAMES, Study, load_study, study_text
from fluxeq.training.compiled import stopwatch

INGREDIENTS = ("sample", "worms")
"""Kinds whose outputs only matter for what is built on them."""


class Event(NamedTuple):
    """A job that has just been done."""

    job: Job
    seconds: float
    n_done: int
    n_jobs: int


class Spent(NamedTuple):
    """Seconds of a job, or of a part of one."""

    total: float
    compiling: float
    """Of these, on making networks into machine code, or on loading it."""


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
    n_instances: int | None = None,
    tasks: Collection[str] = (),
) -> int:
    """Do every job of the study (a shipped name or a TOML file) that is not done yet; how many that were.

    With ``tasks``, only what their scores need. A training is done in pieces of ``n_instances`` instances, or in one.
    Raises InputError if the folder holds a run of another study, another process works in it, or there is no such task.
    """
    _require_tasks(tasks)
    planned = plan(load_study(study))
    fingerprints, jobs = digests(planned), part(planned, tasks)
    _require_run_of(study, run)
    if not _missing(run, jobs, fingerprints):
        return 0
    opened = executor()  # may refuse, so before anything is written
    run.mkdir(parents=True, exist_ok=True)
    with _locked(run):
        remove_unfinished(run)
        write_text(run / "study.toml", study_text(study))
        missing = _missing(run, jobs, fingerprints)
        try:
            with opened as pool:
                _work_off(run, missing, fingerprints, pool, len(jobs), report, n_instances)
        finally:
            remove_unfinished(run)  # of workers that were killed
    return len(missing)


def _require_tasks(tasks: Collection[str]) -> None:
    for task in tasks:
        if task not in TASK_NAMES:
            raise InputError(f"task {task!r}: choose among {', '.join(TASK_NAMES)}")


def _missing(run: Path, jobs: list[Job], fingerprints: dict[str, str]) -> list[Job]:
    """The jobs to do. Ensembles may be missing where all that was built on them is done."""
    missing: list[Job] = []
    asked: set[str] = set()
    for job in reversed(jobs):
        wanted = job.name in asked or job.kind not in INGREDIENTS
        if wanted and not is_done(run, job, fingerprints[job.name]):
            missing.append(job)
            asked.update(job.needs)
    return missing[::-1]


def progress(run: Path, study: Study) -> list[Progress]:
    """How far a run is, by kind of job, in the order of the work."""
    jobs = plan(study)
    fingerprints = digests(jobs)
    done = {job.name: is_done(run, job, fingerprints[job.name]) for job in jobs}
    kinds = dict.fromkeys(job.kind for job in jobs)
    of_kind = {kind: [done[job.name] for job in jobs if job.kind == kind] for kind in kinds}
    return [Progress(kind, sum(states), len(states)) for kind, states in of_kind.items()]


def counts(found: list[Progress]) -> dict[str, dict[str, int]]:
    """The same as plain numbers, for JSON."""
    return {kind: {"done": n_done, "jobs": n_jobs} for kind, n_done, n_jobs in found}


def has_all_scores(run: Path) -> bool:
    """Whether the table of scores was whole once, perhaps for an earlier version of the study; results that were kept
    without the records of their jobs count as whole.
    """
    records = run / ".jobs"
    record = records / "metrics.json"
    return not records.is_dir() or (record.exists() and bool(read_json(record)["done"]))


class Found(NamedTuple):
    """Jobs of one kind whose outputs are there, in the order of the study."""

    done: list[Job]
    outdated: list[Job]
    """Done for another version of the study, or by another version of fluxeq."""


def found_so_far(run: Path, study: Study, kind: str) -> Found:
    """The jobs of one kind that a run has something of."""
    jobs = plan(study)
    fingerprints = digests(jobs)
    found = Found([], [])
    for job in jobs:
        if job.kind != kind or not any((run / output).exists() for output in job.outputs):
            continue
        if is_done(run, job, fingerprints[job.name]):
            found.done.append(job)
        elif _prepared_as(_record(run, job)) != fingerprints[job.name]:
            found.outdated.append(job)
    return found


def is_done(run: Path, job: Job, fingerprint: str) -> bool:
    """Whether the outputs of a job are there and belong to these settings."""
    record = _record(run, job)
    if not record.exists() or read_json(record) != {"fingerprint": fingerprint, "done": True}:
        return False
    return all((run / output).exists() for output in job.outputs)


def _record(run: Path, job: Job) -> Path:
    return run / ".jobs" / f"{job.name.replace('/', '.')}.json"


def _prepared_as(record: Path) -> str | None:
    """The fingerprint of the settings that a job was last prepared with; None if it never was."""
    return read_json(record)["fingerprint"] if record.exists() else None


def _work_off(
    run: Path,
    missing: list[Job],
    fingerprints: dict[str, str],
    pool: Executor,
    n_jobs: int,
    report: Callable[[Event], None],
    n_instances: int | None = None,
) -> None:
    """Give each job away, part by part, when all that it needs is done: of those at hand the heaviest first."""
    waiting = {job.name: job for job in missing}
    at_hand: list[tuple[Job, dict[str, Any]]] = []
    running: dict[Future[Spent], Job] = {}
    spent: dict[str, list[Spent]] = {job.name: [] for job in missing}
    n_done = n_jobs - len(missing)
    blocked = set(waiting)
    run = run.absolute()  # workers may have been started in another folder
    while waiting or running:
        for job in [job for job in waiting.values() if blocked.isdisjoint(job.needs)]:
            _prepare(run, job, fingerprints[job.name])
            at_hand += [(job, settings) for settings in job.parts(n_instances)]
            del waiting[job.name]
        for job, settings in sorted(at_hand, key=lambda one: -one[0].weight):
            if has_room(pool, job.kind, [other.kind for other in running.values()]):
                at_hand.remove((job, settings))
                future = pool.submit(timed, run, job.kind, settings, fingerprints[job.name], _record(run, job))
                running[future] = job
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            job = running.pop(future)
            spent[job.name].append(future.result())
            if job in running.values() or any(other is job for other, _ in at_hand):
                continue
            write_json(_record(run, job), {"fingerprint": fingerprints[job.name], "done": True})
            blocked.remove(job.name)
            n_done += 1
            found = Spent(*map(sum, zip(*spent[job.name], strict=True)))
            _log(run, job, found)
            report(Event(job, found.total, n_done, n_jobs))


def _prepare(run: Path, job: Job, fingerprint: str) -> None:
    """Remove what an earlier study with other settings left in the place of a job, and note the settings of this one.

    Raises InputError if the job is still being done with those other settings.
    """
    record = _record(run, job)
    if _prepared_as(record) == fingerprint:
        return
    record.parent.mkdir(exist_ok=True)
    with locked(record.with_suffix(".lock"), wait=False) as free:
        if not free:
            raise InputError(
                f"{run}: a worker of an earlier start is still busy with {job.name} of another version of this study; "
                "wait for it, or end it"
            )
        for place in job.places:
            remove(run / place)
            remove(run / (place + ".parts"))
        write_json(record, {"fingerprint": fingerprint, "done": False})


def timed(run: Path, kind: str, *arguments: Any) -> Spent:
    """Do a job or a part of one, as ``work`` does; the seconds that it took."""
    start = time.monotonic()
    watch: AbstractContextManager[dict[str, float]] = stopwatch() if kind in WITH_NETWORKS else nullcontext({})
    with watch as stages:
        work(run, kind, *arguments)
    return Spent(time.monotonic() - start, sum(stages.values()))


def _log(run: Path, job: Job, spent: Spent) -> None:
    line = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "job": job.name,
        "seconds": round(spent.total, 3),
        "compiling": round(spent.compiling, 3),
    }
    with (run / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


@contextmanager
def _locked(run: Path) -> Iterator[None]:
    """Keep other processes out of the run folder."""
    with locked(run / ".lock", wait=False) as free:
        if not free:
            raise InputError(f"{run}: another process is working on this run; wait for it or stop it")
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
