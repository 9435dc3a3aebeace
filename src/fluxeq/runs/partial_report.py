"""What a run knows, finished or not: its scores, the figures that they are enough for, the claims, and a report.

All of it belongs to the study file beside it: scores that were made with other settings do not count, and what is shown
of another version of the study is removed. What has all that it needs is what the run would make of it, and is noted as
done; the rest is written anew when the run comes to it.
"""

from contextlib import nullcontext, suppress
from pathlib import Path
from typing import NamedTuple, Self

from fluxeq.analysis.claims import write_claims
from fluxeq.errors import InputError
from fluxeq.report.figures.registry import require_figure, write_figure
from fluxeq.report.page import write_report
from fluxeq.report.provenance import write_provenance
from fluxeq.runs.jobs import collect, figure
from fluxeq.runs.plan import Job, digests, figure_files, plan
from fluxeq.runs.run import progress, withdraw
from fluxeq.study.study import Study
from fluxeq.system.files import remove
from fluxeq.workflow.records import is_done, is_kept, mark, prepared, prepared_as

READS = {
    "collect": ("evaluate",),
    "figure": ("collect", "measure"),
    "claims": ("collect", "measure"),
    "report": ("claims", "figure"),
}
"""Kinds of the jobs whose outputs those of a kind read; the figure of the searches reads these. Ensembles and networks,
on which all is built in the end, may be gone."""


class Version(NamedTuple):
    """A run and one version of its study."""

    run: Path
    study: Study
    jobs: list[Job]
    fingerprints: dict[str, str]

    @classmethod
    def of(cls, run: Path, study: Study) -> Self:
        """The run and its study as it is now, what it shows of others removed. InputError if no job is done for it."""
        jobs = plan(study)
        found = cls(run, study, jobs, digests(jobs))
        if (run / ".jobs").is_dir():
            withdraw(run, jobs, found.fingerprints)
        if not any(found.has_done(job) for job in jobs):
            raise InputError(f"{run}: no job is done yet; go on with 'fluxeq reproduce'")
        return found

    def has_done(self, job: Job) -> bool:
        """Whether the outputs of a job are there and belong to this version."""
        return is_done(self.run, job, self.fingerprints[job.name])

    def has_needs(self, job: Job) -> bool:
        """Whether all is done that a job reads."""
        kinds = ("search",) if job.settings.get("name") == "search" else READS.get(job.kind, ())
        return all(self.has_done(other) for other in self.jobs if other.kind in kinds)

    def done(self, kind: str) -> list[Job]:
        """The jobs of one kind that are done."""
        return [job for job in self.jobs if job.kind == kind and self.has_done(job)]

    def outdated_scores(self) -> int:
        """How many tables of scores belong to other settings."""
        return sum(
            (self.run / job.outputs[0]).exists() and prepared_as(self.run, job) != self.fingerprints[job.name]
            for job in self.jobs
            if job.kind == "evaluate"
        )


def write_so_far(run: Path, study: Study) -> Path:
    """Write the table of scores, figures, claims, provenance and report of what is done; the path of the report.

    Raises InputError if nothing is.
    """
    if is_kept(run):
        return write_report(run, study)
    version = Version.of(run, study)
    for job in version.jobs:
        if job.kind in DO:
            with suppress(InputError) if job.kind in DISPENSABLE else nullcontext():
                _make(version, job, anew=job.kind == "report")
    return run / "report.html"


def draw(run: Path, study: Study, name: str) -> list[Path]:
    """Draw one figure of what is done; its files. Raises InputError if that is not enough for it."""
    require_figure(name)
    if is_kept(run):
        return write_figure(run, name)
    version = Version.of(run, study)
    wanted = {job.name: job for job in version.jobs}
    if f"figures/{name}" not in wanted:
        raise InputError(f"figure {name!r}: this study has no networks that it would show")
    _make(version, wanted["metrics"])
    with suppress(InputError):
        _make(version, wanted["measurements"])
    _make(version, wanted[f"figures/{name}"], anew=True)
    return [run / path for path in figure_files(name)]


def _make(version: Version, job: Job, *, anew: bool = False) -> None:
    """Do a job with what there is, unless it is done; then it is done if that is all. Raises what the job raises."""
    run, fingerprint = version.run, version.fingerprints[job.name]
    with prepared(run, job, fingerprint):
        complete = version.has_needs(job)
        if complete and version.has_done(job):
            if not anew:
                return
        else:
            mark(run, job, fingerprint, done=False)
        DO[job.kind](version, job)
        if complete and all((run / output).exists() for output in job.outputs):
            mark(run, job, fingerprint, done=True)


def _remove(version: Version, job: Job) -> None:
    """Leave a job that needs networks to the run; what it has left, damaged or half, is of no use."""
    for output in job.outputs:
        remove(version.run / output)


def _collect(version: Version, job: Job) -> None:
    if scores := [other.outputs[0] for other in version.done("evaluate")]:
        collect(version.run, scores)
    else:
        remove(version.run / job.outputs[0])


def _draw(version: Version, job: Job) -> None:
    try:
        figure(version.run, job.settings["name"])
    except InputError:  # it needs more than there is
        _remove(version, job)
        raise


def _claims(version: Version, job: Job) -> None:
    write_claims(version.run)


def _report(version: Version, job: Job) -> None:
    if not version.has_done(job):  # it may have been made elsewhere
        write_provenance(version.run, version.fingerprints)
    write_report(version.run, version.study, "" if version.has_needs(job) else _told(version))


DO = {
    "collect": _collect,
    "measure": _remove,
    "winners": _remove,
    "figure": _draw,
    "claims": _claims,
    "report": _report,
}
"""What becomes of the outputs of jobs that are not done."""
DISPENSABLE = ("measure", "winners", "figure")
"""Kinds without whose outputs there still is a report."""


def _told(version: Version) -> str:
    """How far an unfinished run is."""
    kinds = (f"{kind} {n} of {n_jobs}" for kind, n, n_jobs in progress(version.run, version.study) if n < n_jobs)
    told = f"Jobs done: {', '.join(kinds)}."
    if n := version.outdated_scores():
        told += f" Left out: scores of {n} trainings, of other settings; 'fluxeq reproduce' makes them anew."
    return told
