"""A run: the jobs of a study, done in a folder by an executor, skipped where they are done, continued where killed.

A job is skipped when its record (``records``) says that it is done for the settings that the study gives it and all it
builds on. Records are never written where a job is done, so that a job of an earlier start that is still at work
somewhere cannot undo what belongs to this one.

A changed study discards what other settings have left in the place of its jobs: tables, figures, claims and the report
at once, so that what is shown belongs to the study beside it; searches, trained models and ensembles only with leave.
"""

import json
import os
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from fluxeq.errors import InputError, JobError, as_fault
from fluxeq.runs.jobs import WITH_NETWORKS, work
from fluxeq.runs.plan import FIGURES, Job, digests, figure_files, part, plan
from fluxeq.study.study import TASK_NAMES, Study, load_study, study_text
from fluxeq.system.files import locked, read_json, remove, remove_unfinished, require_writable, write_text
from fluxeq.training.compiled import stopwatch
from fluxeq.workflow.executors import has_room
from fluxeq.workflow.records import is_done, is_kept, mark, prepare, prepared_as, record

INGREDIENTS = ("sample", "worms")
"""Kinds whose outputs only matter for what is built on them."""
SHOWN = ("collect", "measure", "winners", "figure", "claims", "report")
"""Kinds whose outputs are read as those of the study beside them."""
COSTLY = {"train": "trained models", "search": "searches", "sample": "ensembles"}
"""Kinds whose outputs are not discarded without leave, and what these are."""

LEAVE = "say so with --replace, or choose another --output"


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
    *,
    replace: bool = False,
) -> int:
    """Do every job of the study (a shipped name or a TOML file) that is not done yet; how many that were.

    With ``tasks``, only what their scores need. A training is done in pieces of ``n_instances`` instances, or in one.
    ``replace`` gives leave to discard what another version of the study has trained, searched or sampled. Raises
    InputError if that is needed, the folder holds a run of another study, another process works in it, or there is no
    such task.
    """
    _require_tasks(tasks)
    text, asked = study_text(study), load_study(study)
    planned = plan(asked)
    fingerprints, jobs = digests(planned), part(planned, tasks)
    _require_run_of(asked, run)
    changed, missing = _text_of(run) != text, _missing(run, jobs, fingerprints)
    if not missing and not changed:
        return 0
    asked.reference.require_trainable()
    require_writable(run / "study.toml")
    if not replace:
        _require_nothing_lost(run, missing, fingerprints)
    opened = executor()  # may refuse, so before anything is written
    run.mkdir(parents=True, exist_ok=True)
    with _locked(run):
        remove_unfinished(run)
        if changed:
            record(run, planned[-1]).unlink(missing_ok=True)  # the report holds the text
        withdraw(run, planned, fingerprints)
        write_text(run / "study.toml", text)
        missing = _missing(run, jobs, fingerprints)
        try:
            with opened as pool:
                _work_off(run, missing, fingerprints, pool, len(jobs), report, n_instances)
        finally:
            remove_unfinished(run)  # of workers that were killed
    return len(missing)


def withdraw(run: Path, planned: list[Job], fingerprints: dict[str, str]) -> None:
    """Remove what is shown of another version of the study, given all jobs of this one."""
    for job in planned:
        if job.kind in SHOWN:
            prepare(run, job, fingerprints[job.name])
    drawn = {output for job in planned for output in job.outputs}
    for path in (path for name in FIGURES for path in figure_files(name)):
        if path not in drawn:
            remove(run / path)


def _require_nothing_lost(run: Path, missing: list[Job], fingerprints: dict[str, str]) -> None:
    """Raise InputError if the jobs to do are in the place of what other settings have trained, searched or sampled."""
    if is_kept(run):
        raise InputError(f"{run}: holds results without the records of their jobs, which would be discarded; {LEAVE}")
    lost = dict.fromkeys(COSTLY, 0)
    for job in missing:
        if job.kind in COSTLY and prepared_as(run, job) != fingerprints[job.name]:
            lost[job.kind] += _n_made(run, job)
    if listed := ", ".join(f"{n} {COSTLY[kind]}" for kind, n in lost.items() if n):
        raise InputError(
            f"{run}: {listed} of another version of this study, or without a record, would be discarded; {LEAVE}"
        )


def _n_made(run: Path, job: Job) -> int:
    """How many results are in the place of a job; one that has only begun counts."""
    (place,) = job.places
    n_models = len(list((run / place).glob("*.safetensors"))) if job.kind == "train" else 0
    begun = (run / place).exists() or (run / (place + ".parts")).exists()
    return max(n_models, begun)


def _text_of(run: Path) -> str | None:
    """The study file of a run as it is; None if there is none."""
    path = run / "study.toml"
    return study_text(path) if os.path.isfile(path) else None


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
    """How far a run is, by kind of job, in the order of the work; of one that is kept, as far as it was then."""
    if is_kept(run) and (run / "status.json").exists():
        return _progress_of(run / "status.json")
    jobs = plan(study)
    fingerprints = digests(jobs)
    done = {job.name: is_done(run, job, fingerprints[job.name]) for job in jobs}
    kinds = dict.fromkeys(job.kind for job in jobs)
    of_kind = {kind: [done[job.name] for job in jobs if job.kind == kind] for kind in kinds}
    return [Progress(kind, sum(states), len(states)) for kind, states in of_kind.items()]


def _progress_of(path: Path) -> list[Progress]:
    found = read_json(path)
    try:
        return [Progress(kind, int(n["done"]), int(n["jobs"])) for kind, n in found.items()]
    except (AttributeError, KeyError, TypeError, ValueError):
        raise InputError(f"{path}: not what is kept of a run; remove it, and take it from where it was kept") from None


def is_whole(run: Path, study: Study) -> bool:
    """Whether all is done that a run is for: all but ensembles, which may be gone. What is kept counts as whole."""
    jobs = plan(study)
    return is_kept(run) or not _missing(run, jobs, digests(jobs))


def counts(found: list[Progress]) -> dict[str, dict[str, int]]:
    """The same as plain numbers, for JSON."""
    return {kind: {"done": n_done, "jobs": n_jobs} for kind, n_done, n_jobs in found}


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
            prepare(run, job, fingerprints[job.name])
            at_hand += [(job, settings) for settings in job.parts(n_instances)]
            del waiting[job.name]
        for job, settings in sorted(at_hand, key=lambda one: -one[0].weight):
            if has_room(pool, job.kind, [other.kind for other in running.values()]):
                at_hand.remove((job, settings))
                future = pool.submit(timed, run, job.kind, settings, fingerprints[job.name], record(run, job))
                running[future] = job
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            job = running.pop(future)
            spent[job.name].append(_result(future, job))
            if job in running.values() or any(other is job for other, _ in at_hand):
                continue
            mark(run, job, fingerprints[job.name], done=True)
            blocked.remove(job.name)
            n_done += 1
            found = Spent(*map(sum, zip(*spent[job.name], strict=True)))
            _log(run, job, fingerprints[job.name], found)
            report(Event(job, found.total, n_done, n_jobs))


def _result(future: Future[Spent], job: Job) -> Spent:
    """What a job took. What it refused is told with its name."""
    try:
        return future.result()
    except (InputError, JobError) as error:
        raise type(error)(f"{job.name}: {error}") from error


def timed(run: Path, kind: str, *arguments: Any) -> Spent:
    """Do a job or a part of one, as ``work`` does; the seconds that it took.

    Raises what can go from one process to another: InputError, OSError, MemoryError, and JobError for anything else.
    """
    start = time.monotonic()
    watch: AbstractContextManager[dict[str, float]] = stopwatch() if kind in WITH_NETWORKS else nullcontext({})
    try:
        with watch as stages:
            work(run, kind, *arguments)
        return Spent(time.monotonic() - start, sum(stages.values()))
    except (InputError, OSError, MemoryError):
        raise
    except Exception as error:
        told = as_fault(error)
    raise JobError(told)  # out here, since Dask sends the context of an exception along, which may not be sent


def _log(run: Path, job: Job, fingerprint: str, spent: Spent) -> None:
    line = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "job": job.name,
        "fingerprint": fingerprint,
        "seconds": round(spent.total, 3),
        "compiling": round(spent.compiling, 3),
    }
    with (run / "log.jsonl").open("ab+") as file:
        if file.tell() and _last_byte(file) != b"\n":  # of a line that a kill or a full disk has cut
            file.write(b"\n")
        file.write(json.dumps(line).encode() + b"\n")


def _last_byte(file: BinaryIO) -> bytes:
    file.seek(-1, os.SEEK_END)
    return file.read(1)


@contextmanager
def _locked(run: Path) -> Iterator[None]:
    """Keep other processes out of the run folder."""
    with locked(run / ".lock", wait=False) as free:
        if not free:
            raise InputError(f"{run}: another process is working on this run; wait for it or stop it")
        yield


def _require_run_of(study: Study, run: Path) -> None:
    """Raise InputError if the folder is in use for something else."""
    if os.path.lexists(run) and not os.path.isdir(run):
        what = "a link to nothing" if os.path.islink(run) else "a file"
        raise InputError(f"{run}: is {what}; choose a folder for the run")
    if os.path.exists(run / "study.toml"):
        there = _name_of(run)
        if there != study.name:
            raise InputError(f"{run}: holds a run of study {there!r}, not {study.name!r}; choose another --output")
    elif os.path.isdir(run) and not (run / ".jobs").is_dir() and any(path.name[0] != "." for path in run.iterdir()):
        raise InputError(f"{run}: is not empty and not a run; choose another --output")


def _name_of(run: Path) -> str:
    try:
        return open_run(run).name
    except InputError as error:
        raise InputError(f"{error}; put the study file of this run back there, or choose another --output") from None


def open_run(run: Path) -> Study:
    """The study of a run folder. Raises InputError if it is not one."""
    if not os.path.isfile(run / "study.toml"):
        raise InputError(f"{run}: not a run; make one with 'fluxeq reproduce quick --output {run}'")
    return load_study(run / "study.toml")
