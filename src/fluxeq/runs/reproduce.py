"""Running a study in a folder; finished jobs are skipped and interrupted ones resumed.

If the study has changed, results of other settings are removed: tables, figures, claims and the report at once, so that
they always belong to the study file; searches, trained models and ensembles only with ``replace``.
"""

import os
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from pathlib import Path

from fluxeq.errors import InputError
from fluxeq.report.figures.registry import FIGURES
from fluxeq.runs.jobs import OpenWorms, Sample
from fluxeq.runs.now import announce_activity
from fluxeq.runs.plan import figure_files, part, plan
from fluxeq.runs.status import is_archived, open_run
from fluxeq.study.study import Study, StudyText, load_study, study_text
from fluxeq.system.files import locked, remove, remove_temporary, require_writable, write_text
from fluxeq.workflow.execution import Event, run_jobs
from fluxeq.workflow.executors import WorkerPools
from fluxeq.workflow.job import Job, fingerprints
from fluxeq.workflow.records import FOLDER, missing, prepare, prepared_as, record

DATA = (Sample, OpenWorms)
"""Works that make ensembles."""
CONFIRM = "confirm with --replace, or choose another --output"


def reproduce(
    study: str | Path | StudyText,
    run: Path,
    worker_pools: Callable[[], AbstractContextManager[WorkerPools]],
    report: Callable[[Event], None],
    sections: Collection[str] = (),
    *,
    data_only: bool = False,
    replace: bool = False,
) -> int:
    """Run all unfinished jobs of a study (a shipped name, a TOML file, or its text); returns their number.

    ``sections`` limits the jobs to those required for their scores, ``data_only`` further to ensembles. ``replace``
    permits deleting what another version of the study has trained, searched or sampled. Raises InputError if this
    permission is required, the folder holds a run of another study or is in use, or a section does not exist.
    """
    asked, text = study if isinstance(study, StudyText) else StudyText(load_study(study), study_text(study))
    for section in sections:
        asked.require_section(section)
    planned = plan(asked)
    found, jobs = fingerprints(planned), part(planned, sections)
    if data_only:
        jobs = [job for job in jobs if isinstance(job.work, DATA)]
    _require_run_of(asked, run)
    changed, to_do = _text_of(run) != text, missing(run, jobs, found, data_only)
    if not to_do and not changed:
        return 0
    asked.require_importable()
    require_writable(run / "study.toml")
    if not replace:
        _require_no_data_loss(run, to_do, found)
    opened = worker_pools()  # may raise, so before anything is written
    run.mkdir(parents=True, exist_ok=True)
    with locked(run / ".lock", wait=False) as is_free:
        if not is_free:
            raise InputError(f"{run}: another process is working on this run; wait for it or stop it")
        remove_temporary(run)
        if changed:
            record(run, planned[-1].name).unlink(missing_ok=True)  # the report contains the study file
        remove_outdated(run, planned, found)
        write_text(run / "study.toml", text)
        to_do = missing(run, jobs, found, data_only)
        try:
            with opened as workers, announce_activity(run) as announce:

                def told(event: Event) -> None:
                    announce(event)
                    report(event)

                run_jobs(run, to_do, found, workers, jobs, told)
        finally:
            remove_temporary(run)  # left by killed workers
    return len(to_do)


def remove_outdated(run: Path, planned: list[Job], found: dict[str, str]) -> None:
    """Remove tables, figures and reports of another version of the study, given all jobs of this one."""
    for job in planned:
        if job.work.shown:
            prepare(run, job, found[job.name])
    drawn = {output for job in planned for output in job.outputs}
    for path in (path for name in FIGURES for path in figure_files(name)):
        if path not in drawn:
            remove(run / path)


def _require_no_data_loss(run: Path, to_do: list[Job], found: dict[str, str]) -> None:
    """Raise InputError if running these jobs would delete models, searches or ensembles of other settings."""
    if is_archived(run):
        raise InputError(f"{run}: results without job records would be deleted; {CONFIRM}")
    lost = Counter(
        job.work.output_kind
        for job in reversed(to_do)
        if job.work.output_kind and prepared_as(run, job.name) != found[job.name] and _has_begun(run, job)
    )
    if listed := ", ".join(f"{n} {called}" for called, n in lost.items()):
        raise InputError(
            f"{run}: {listed} of another version of this study, or without a record, would be deleted; {CONFIRM}"
        )


def _has_begun(run: Path, job: Job) -> bool:
    return any((run / place).exists() for place in (*job.outputs, *job.byproducts))


def _text_of(run: Path) -> str | None:
    """The text of the study file of a run; None if there is none."""
    path = run / "study.toml"
    return study_text(path) if os.path.isfile(path) else None


def _require_run_of(study: Study, run: Path) -> None:
    """Raise InputError if the folder is used for something else."""
    if os.path.lexists(run) and not os.path.isdir(run):
        what = "a broken link" if os.path.islink(run) else "a file"
        raise InputError(f"{run}: is {what}; choose a folder for the run")
    if os.path.exists(run / "study.toml"):
        there = _name_of(run)
        if there != study.name:
            raise InputError(f"{run}: holds a run of study {there!r}, not {study.name!r}; choose another --output")
    elif os.path.isdir(run) and not (run / FOLDER).is_dir() and any(path.name[0] != "." for path in run.iterdir()):
        raise InputError(f"{run}: is not empty and not a run; choose another --output")


def _name_of(run: Path) -> str:
    try:
        return open_run(run).name
    except InputError as error:
        raise InputError(f"{error}; restore the study file of this run, or choose another --output") from None
