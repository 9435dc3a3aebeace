"""What a run knows, finished or not: its scores, the figures that they are enough for, the claims, and a report.

All of it belongs to the study file beside it: scores that were made with other settings do not count, and what is shown
of another version of the study is removed. What has all that it needs is what the run would make of it, and is noted as
done; the rest is written anew when the run comes to it.
"""

from contextlib import nullcontext, suppress
from pathlib import Path
from typing import NamedTuple, Self

from fluxeq.errors import InputError
from fluxeq.report.figures.registry import FIGURES, write_figure
from fluxeq.report.page import write_report
from fluxeq.runs.jobs import Collect, DrawFigure, Evaluate, JudgeClaims, Report
from fluxeq.runs.plan import figure_files, plan
from fluxeq.runs.reproduce import withdraw
from fluxeq.runs.status import is_archived, progress
from fluxeq.study.study import Study
from fluxeq.system.files import remove
from fluxeq.workflow.job import Job, fingerprints
from fluxeq.workflow.records import FOLDER, is_done, mark, prepared, prepared_as


class Version(NamedTuple):
    """A run and one version of its study."""

    run: Path
    study: Study
    jobs: dict[str, Job]
    fingerprints: dict[str, str]

    @classmethod
    def of(cls, run: Path, study: Study) -> Self:
        """The run and its study as it is now, what it shows of others removed. InputError if no job is done for it."""
        jobs = plan(study)
        found = cls(run, study, {job.name: job for job in jobs}, fingerprints(jobs))
        if (run / FOLDER).is_dir():
            withdraw(run, jobs, found.fingerprints)
        if not any(map(found.has_done, jobs)):
            raise InputError(f"{run}: no job is done yet; go on with 'fluxeq reproduce'")
        return found

    def has_done(self, job: Job) -> bool:
        """Whether the outputs of a job are there and belong to this version."""
        return is_done(self.run, job, self.fingerprints[job.name])

    def has_needs(self, job: Job) -> bool:
        """Whether all is done that a job reads."""
        return all(self.has_done(self.jobs[need]) for need in job.needs)

    def done(self, job: Job) -> tuple[str, ...]:
        """The first output of each job that this one needs and that is done."""
        needed = (self.jobs[need] for need in job.needs)
        return tuple(other.outputs[0] for other in needed if self.has_done(other))

    def outdated_scores(self) -> int:
        """How many tables of scores belong to other settings."""
        return sum(
            (self.run / job.outputs[0]).exists() and prepared_as(self.run, name) != self.fingerprints[name]
            for name, job in self.jobs.items()
            if isinstance(job.work, Evaluate)
        )

    def unfinished(self) -> str:
        """How far the run is."""
        kinds = (f"{kind} {n} of {n_jobs}" for kind, n, n_jobs in progress(self.run, self.study) if n < n_jobs)
        told = f"Jobs done: {', '.join(kinds)}."
        if n := self.outdated_scores():
            told += f" Left out: scores of {n} trainings, of other settings; 'fluxeq reproduce' makes them anew."
        return told


def write_partial_report(run: Path, study: Study) -> Path:
    """Write the table of scores, figures, claims, provenance and report of what is done; the path of the report.

    Raises InputError if nothing is.
    """
    if is_archived(run):
        return write_report(run)
    version = Version.of(run, study)
    for job in version.jobs.values():
        if job.work.shown:
            dispensable = not isinstance(job.work, (Collect, JudgeClaims, Report))
            with suppress(InputError) if dispensable else nullcontext():
                _make(version, job, anew=isinstance(job.work, Report))
    return run / "report.html"


def draw(run: Path, study: Study, name: str) -> list[Path]:
    """Draw one figure of what is done; its files. Raises InputError if that is not enough for it."""
    FIGURES.require_known(name)
    if is_archived(run):
        return write_figure(run, name)
    version = Version.of(run, study)
    if f"figures/{name}" not in version.jobs:
        raise InputError(f"figure {name!r}: this study has no networks that it would show")
    _make(version, version.jobs["metrics"])
    with suppress(InputError):
        _make(version, version.jobs["measurements"])
    _make(version, version.jobs[f"figures/{name}"], anew=True)
    return [run / path for path in figure_files(name)]


def _make(version: Version, job: Job, *, anew: bool = False) -> None:
    """Do a job with what there is, unless it is done; then it is done if that is all. Raises what the job raises.

    What needs networks is left to the run; what it has left, damaged or half, is of no use, and is removed.
    """
    run, fingerprint = version.run, version.fingerprints[job.name]
    with prepared(run, job, fingerprint):
        complete = not isinstance(job.work, FROM_TABLES) or version.has_needs(job)
        if complete and version.has_done(job):
            if not anew:
                return
        else:
            mark(run, job, fingerprint, done=False)
        try:
            _do(version, job)
        except InputError:  # it needs more than there is
            _remove(run, job)
            raise
        if complete and all((run / output).exists() for output in job.outputs):
            mark(run, job, fingerprint, done=True)


FROM_TABLES = (Collect, DrawFigure, JudgeClaims, Report)
"""Works that read what other jobs have left, and neither ensembles nor networks, which may be gone."""


def _do(version: Version, job: Job) -> None:
    run = version.run
    match job.work:
        case Collect() if scores := version.done(job):
            Collect(scores=scores).run(run)
        case DrawFigure(searches=()) | JudgeClaims():
            job.work.run(run)
        case DrawFigure(name=name) if searches := version.done(job):
            DrawFigure(name=name, searches=searches).run(run)
        case Report() if version.has_done(job):  # its provenance may have been written elsewhere
            job.work.write_page(run)
        case Report():
            unfinished = "" if version.has_needs(job) else version.unfinished()
            job.work.model_copy(update={"unfinished": unfinished}).run(run)
        case _:
            _remove(run, job)


def _remove(run: Path, job: Job) -> None:
    for output in job.outputs:
        remove(run / output)
