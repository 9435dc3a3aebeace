"""Progress of a run, for the study file in it."""

import os
from pathlib import Path
from typing import Any, NamedTuple

from fluxeq.analysis.tables import scores_of
from fluxeq.errors import InputError
from fluxeq.runs.now import Activity, current_activity, details
from fluxeq.runs.plan import plan
from fluxeq.study.study import Study, load_study
from fluxeq.system.files import read_json
from fluxeq.system.progress import duration
from fluxeq.workflow.job import fingerprints
from fluxeq.workflow.records import FOLDER, is_done, missing


class Progress(NamedTuple):
    """Number of finished jobs of one kind."""

    kind: str
    n_done: int
    n_jobs: int


def open_run(run: Path) -> Study:
    """The study of a run folder. Raises InputError if it is not a run."""
    if not os.path.isfile(run / "study.toml"):
        raise InputError(f"{run}: not a run; make one with 'fluxeq reproduce quick --output {run}'")
    return load_study(run / "study.toml")


def is_archived(run: Path) -> bool:
    """Whether a folder holds the results of a run without job records; these count as complete."""
    return not (run / FOLDER).is_dir() and scores_of(run).exists()


def is_complete(run: Path, study: Study) -> bool:
    """Whether a run is complete, apart from ensembles, which may be deleted. Archived runs count as complete."""
    jobs = plan(study)
    return is_archived(run) or not missing(run, jobs, fingerprints(jobs))


def progress(run: Path, study: Study) -> list[Progress]:
    """The progress of a run by kind of job, in order; for an archived run, that at the time of archiving."""
    if is_archived(run) and (run / "status.json").exists():
        return _archived(run / "status.json")
    jobs = plan(study)
    found = fingerprints(jobs)
    states: dict[str, list[bool]] = {}
    for job in jobs:
        states.setdefault(job.kind, []).append(is_done(run, job, found[job.name]))
    return [Progress(kind, sum(done), len(done)) for kind, done in states.items()]


def _archived(path: Path) -> list[Progress]:
    found = read_json(path)
    try:
        return [Progress(kind, int(n["done"]), int(n["jobs"])) for kind, n in found.items()]
    except (AttributeError, KeyError, TypeError, ValueError):
        raise InputError(f"{path}: not the progress of a run; remove it, or restore it from the archive") from None


class Report(NamedTuple):
    """Progress of a run, current activity, and details."""

    progress: list[Progress]
    now: Activity | None
    details: dict[str, str]


def report(run: Path) -> Report:
    """The status of a run. Raises InputError if the folder is not a run."""
    study = open_run(run)
    now = current_activity(run)
    return Report(progress(run, study), now, details(run, plan(study), now))


def as_text(found: Report) -> str:
    """One line per kind of job, followed by running jobs."""
    lines = [f"{kind:12} {n_done:5d} of {n_jobs}" for kind, n_done, n_jobs in found.progress]
    if found.now is not None:
        lines.append(f"working: {found.now.where} for {duration(found.now.seconds)}")
        lines.append(f"left: about {duration(found.now.seconds_left)}")
        for name, seconds in found.now.running.items():
            known = f", {found.details[name]}" if name in found.details else ""
            lines.append(f"running: {name} for {duration(seconds)}{known}")
    elif any(n_done < n_jobs for _, n_done, n_jobs in found.progress):
        lines.append("nothing is running; 'fluxeq reproduce' resumes the run")
    running = found.now.running if found.now else {}
    lines += [f"done: {name}, {known}" for name, known in found.details.items() if name not in running]
    return "\n".join(lines)


def as_json(found: Report) -> dict[str, Any]:
    """The status in JSON types; ``now`` is null if no process works on the run."""
    now = None if found.now is None else found.now._asdict()
    return {"jobs": counts(found.progress), "now": now, "details": found.details}


def counts(found: list[Progress]) -> dict[str, dict[str, int]]:
    """The numbers of jobs as plain dictionaries, for JSON."""
    return {kind: {"done": n_done, "jobs": n_jobs} for kind, n_done, n_jobs in found}
