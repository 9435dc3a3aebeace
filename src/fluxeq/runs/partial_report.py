"""Results of a possibly unfinished run: scores, all figures that can be drawn from them, claims, and a report.

Results always belong to the study file in the run folder: scores made with other settings are ignored, and figures,
tables and reports of other versions of the study are removed. A result whose inputs are complete is recorded as done;
others are replaced when the run gets there.
"""

from contextlib import nullcontext, suppress
from pathlib import Path
from typing import NamedTuple, Self

from fluxeq.errors import InputError
from fluxeq.report.figures.registry import FIGURES, write_figure
from fluxeq.report.page import write_report
from fluxeq.runs.jobs import CollectScores, DrawFigure, Evaluate, JudgeClaims, Report
from fluxeq.runs.plan import figure_files, plan
from fluxeq.runs.reproduce import remove_outdated
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
        """The run and its current study; removes results of other versions. Raises InputError if no job is done."""
        jobs = plan(study)
        found = cls(run, study, {job.name: job for job in jobs}, fingerprints(jobs))
        if (run / FOLDER).is_dir():
            remove_outdated(run, jobs, found.fingerprints)
        if not any(map(found.has_done, jobs)):
            raise InputError(f"{run}: no job is done yet; continue with 'fluxeq reproduce'")
        return found

    def has_done(self, job: Job) -> bool:
        """Whether the outputs of a job exist and belong to this version."""
        return is_done(self.run, job, self.fingerprints[job.name])

    def has_needs(self, job: Job) -> bool:
        """Whether all inputs of a job are complete."""
        return all(self.has_done(self.jobs[need]) for need in job.needs)

    def done(self, job: Job) -> tuple[str, ...]:
        """The first output of each finished dependency of a job."""
        needed = (self.jobs[need] for need in job.needs)
        return tuple(other.outputs[0] for other in needed if self.has_done(other))

    def outdated_scores(self) -> int:
        """Number of score tables that were made with other settings."""
        return sum(
            (self.run / job.outputs[0]).exists() and prepared_as(self.run, name) != self.fingerprints[name]
            for name, job in self.jobs.items()
            if isinstance(job.work, Evaluate)
        )

    def unfinished(self) -> str:
        """The progress of the run, in words."""
        kinds = (f"{kind} {n} of {n_jobs}" for kind, n, n_jobs in progress(self.run, self.study) if n < n_jobs)
        told = f"Jobs done: {', '.join(kinds)}."
        if n := self.outdated_scores():
            told += f" Not included: scores of {n} trainings with other settings; 'fluxeq reproduce' replaces them."
        return told


def write_partial_report(run: Path, study: Study) -> Path:
    """Write score table, figures, claims, provenance and report from the finished jobs; returns the report's path.

    Raises InputError if no job is done.
    """
    if is_archived(run):
        return write_report(run)
    version = Version.of(run, study)
    for job in version.jobs.values():
        if job.work.shown:
            dispensable = not isinstance(job.work, (CollectScores, JudgeClaims, Report))
            with suppress(InputError) if dispensable else nullcontext():
                _make(version, job, anew=isinstance(job.work, Report))
    return run / "report.html"


def draw(run: Path, study: Study, name: str) -> list[Path]:
    """Draw one figure from the finished jobs; returns its files. Raises InputError if its data are insufficient."""
    FIGURES.require_known(name)
    if is_archived(run):
        return write_figure(run, name)
    version = Version.of(run, study)
    if f"figures/{name}" not in version.jobs:
        raise InputError(f"figure {name!r}: this study has no networks to show in it")
    _make(version, version.jobs["metrics"])
    with suppress(InputError):
        _make(version, version.jobs["measurements"])
    _make(version, version.jobs[f"figures/{name}"], anew=True)
    return [run / path for path in figure_files(name)]


def _make(version: Version, job: Job, *, anew: bool = False) -> None:
    """Run an unfinished job on the available inputs; it counts as done if they are complete. Raises errors of the job.

    Jobs that need networks are left to the run; their damaged or partial outputs are removed.
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
        except InputError:  # its inputs are insufficient
            _remove(run, job)
            raise
        if complete and all((run / output).exists() for output in job.outputs):
            mark(run, job, fingerprint, done=True)


FROM_TABLES = (CollectScores, DrawFigure, JudgeClaims, Report)
"""Works that only read outputs of other jobs, but no ensembles or networks, which may have been deleted."""


def _do(version: Version, job: Job) -> None:
    run = version.run
    match job.work:
        case CollectScores() if scores := version.done(job):
            CollectScores(scores=scores).run(run)
        case DrawFigure(searches=()) | JudgeClaims():
            job.work.run(run)
        case DrawFigure(name=name) if searches := version.done(job):
            DrawFigure(name=name, searches=searches).run(run)
        case Report() if version.has_done(job):  # its provenance may come from another machine
            job.work.write_page(run)
        case Report():
            unfinished = "" if version.has_needs(job) else version.unfinished()
            job.work.model_copy(update={"unfinished": unfinished}).run(run)
        case _:
            _remove(run, job)


def _remove(run: Path, job: Job) -> None:
    for output in job.outputs:
        remove(run / output)
