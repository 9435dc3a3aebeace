"""What an unfinished run knows: its scores, the figures that they are enough for, the claims, and a report.

All of it is written anew when the run comes to these jobs.
"""

from pathlib import Path

from fluxeq.errors import InputError
from fluxeq.figures.registry import write_figure
from fluxeq.files import remove
from fluxeq.studies.claims import write_claims
from fluxeq.studies.jobs import collect
from fluxeq.studies.plan import figure_files, figures
from fluxeq.studies.provenance import write_provenance
from fluxeq.studies.report import write_report
from fluxeq.studies.run import found_so_far, progress
from fluxeq.studies.study import Study


def write_so_far(run: Path, study: Study) -> Path:
    """Write the table of scores, figures, claims, provenance and report of what is done; the path of the report.

    Raises InputError if nothing is.
    """
    if not (run / "log.jsonl").exists():
        raise InputError(f"{run}: no job is done yet; go on with 'fluxeq reproduce'")
    found = {kind: found_so_far(run, study, kind) for kind in ("evaluate", "measure")}
    if scores := [job.outputs[0] for job in found["evaluate"].done]:
        collect(run, scores)
    else:
        remove(run / "metrics.csv")  # of an earlier version of the study
    for job in found["measure"].outdated:
        for output in job.outputs:
            remove(run / output)
    for name in figures(study):
        try:
            write_figure(run, name)
        except InputError:  # it needs more than there is
            for path in figure_files(name):
                remove(run / path)
    write_claims(run)
    write_provenance(run)
    kinds = (f"{kind} {n_done} of {n_jobs}" for kind, n_done, n_jobs in progress(run, study) if n_done < n_jobs)
    told = [f"Jobs done: {', '.join(kinds)}."]
    if left_out := ", ".join(f"{kind} {len(jobs.outdated)}" for kind, jobs in found.items() if jobs.outdated):
        told.append(f"Left out: {left_out}, of other settings; 'fluxeq reproduce' makes it anew.")
    return write_report(run, study, " ".join(told))
