"""Commands that run whole studies and show their results."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from fluxeq.cli.app import STUDIES, AnyRun, AsJson, Device, Run, Sections, StudyName, Workers, app
from fluxeq.cli.arguments import parsed_shape
from fluxeq.errors import InputError
from fluxeq.system.capacity import n_processors
from fluxeq.system.progress import progress

if TYPE_CHECKING:
    from fluxeq.study.study import StudyText

WATCH_INTERVAL = 5.0
"""Seconds between two updates of ``status --watch``."""


@app.command(group=STUDIES, sort_key=10)
def reproduce(
    study: StudyName,
    /,
    *,
    output: Run,
    executor: Literal["local", "dask"] = "local",
    scheduler: str | None = None,
    device: Device = "cpu",
    workers: Workers = None,
    task: Sections = (),
    replace: bool = False,
) -> None:
    """Run a whole study: sample, search, train, evaluate, plot, judge claims, report. Running it again resumes.

    Example: fluxeq reproduce quick --output runs/quick

    Parameters
    ----------
    executor:
        Processes on this machine, or a Dask cluster.
    scheduler:
        Address of the Dask scheduler, as in tcp://host:8786; by default a cluster on this machine is started.
    device:
        cuda: train networks on a GPU, in one process; everything else stays on the CPU.
    task:
        Do only what this section of the study needs, and report it; can be repeated.
        The same command without it does the rest.
    replace:
        Delete searches, models and ensembles from another version of the study that are in the way; without it they
        are kept and reported as an error.
    """
    how = {"executor": executor, "scheduler": scheduler, "device": device, "workers": workers, "replace": replace}
    _print_report(output, task, _run_study(study, output, task, **how))  # type: ignore[arg-type]


def _run_study(
    study: "str | StudyText",
    output: Path,
    task: tuple[str, ...],
    *,
    executor: Literal["local", "dask"] = "local",
    scheduler: str | None = None,
    device: Device = "cpu",
    workers: int | None = None,
    replace: bool = False,
    data_only: bool = False,
) -> int:
    """Run the unfinished jobs of a study, or of some of its sections; the number of jobs run."""
    from fluxeq.runs.reproduce import reproduce as run
    from fluxeq.training.device import Device as LearningDevice
    from fluxeq.workflow import selection
    from fluxeq.workflow.executors import worker_pools

    selection.require_workers(executor, scheduler, workers)
    learning = LearningDevice(device)
    learning.require()
    with progress("jobs") as advance:
        return run(
            study,
            output,
            lambda: worker_pools(
                selection.workers(executor, workers or n_processors(), scheduler), learning.environment or None
            ),
            lambda event: advance(event.n_done, event.n_jobs, ", ".join(event.running), event.seconds_left),
            task,
            data_only=data_only,
            replace=replace,
        )


def _print_report(output: Path, task: tuple[str, ...], n: int) -> None:
    """Print that a run, or some of its sections, is complete after ``n`` jobs; write a report for sections, too."""
    from fluxeq.runs.partial_report import write_partial_report
    from fluxeq.runs.status import open_run

    if task and (n or not (output / "report.html").exists()):
        with progress("reporting"):
            write_partial_report(output, open_run(output))
    part = f"{' and '.join(dict.fromkeys(task))} " if task else ""
    print(f"{output / 'report.html'}: {part}{f'complete, {n} jobs done now' if n else 'already complete'}")


@app.command(group=STUDIES, sort_key=14)
def data(study: StudyName, /, *, output: Run, task: Sections = (), workers: Workers = None) -> None:
    """Make the data sets of a study: ensembles, and data.csv, which lists what each is used for.

    The result is the same for everybody. The folder is that of a run, which reproduce can continue.

    Example: fluxeq data quick --output runs/quick

    Parameters
    ----------
    task:
        Only the data of this section of the study; can be repeated.
    """
    from fluxeq.runs.data import write_index
    from fluxeq.study.study import load_study

    n = _run_study(study, output, task, workers=workers, data_only=True)
    path = write_index(output, load_study(study), task)
    print(f"{path}: {f'complete, {n} ensembles made now' if n else 'already complete'}")


@app.command(group=STUDIES, sort_key=15)
def benchmark(function: str, study: StudyName, /, *, task: str, output: Path, workers: Workers = None) -> None:
    """Evaluate your own function on all test sets of a study; figures and report show it beside EQ, ST and FL.

    The function maps a NumPy batch of configurations, (n, 2 d, *shape), to (n, n_targets) and may call any framework.
    Results of the study that are in the folder are kept: only missing models are trained.

    Example: fluxeq benchmark mine:predict quick --task regression --output runs/quick

    Parameters
    ----------
    function:
        package.module:function.
    task:
        The section of the study whose targets the function predicts.
    output:
        Folder of the run; may be a finished run of this study.
    """
    from fluxeq.study.benchmark import with_function

    n = _run_study(with_function(study, function, task), output, (task,), workers=workers)
    _print_report(output, (task,), n)


@app.command(group=STUDIES, sort_key=11)
def status(run: AnyRun, /, *, json_: AsJson = False, watch: bool = False) -> None:
    """Show the progress of a run: finished and running jobs, time left, settings tried, latest losses.

    Example: fluxeq status runs/quick

    Parameters
    ----------
    watch:
        Update every five seconds while a process works on the run.
    """
    import time

    from fluxeq.runs.status import as_json, as_text, report

    while True:
        found = report(run)
        print(json.dumps(as_json(found), indent=2) if json_ else as_text(found), flush=True)
        if not watch or found.now is None:
            return
        time.sleep(WATCH_INTERVAL)
        print()


@app.command(group=STUDIES, sort_key=12)
def figure(
    places: Annotated[list[Path], Parameter(name="RUN-OR-TABLES")],
    name: str,
    /,
    *,
    output: Path | None = None,
    shape: str | None = None,
) -> None:
    """Redraw one figure from the stored numbers of a run, finished or not; or draw one from tables of scores.

    Examples: fluxeq figure runs/quick fig3;
    fluxeq figure scores.csv others.csv fig4 --output fig4.png

    Parameters
    ----------
    places:
        Folder of a run; or tables of fluxeq evaluate, for figures that only show scores.
    name:
        Name as in the figures folder of a run: fig1 ... fig7b, search, or a figure of another package.
    output:
        For tables: image to write, .png or .pdf, or its numbers, .csv. A figure of a run is written to its folder.
    shape:
        For tables: lattice on which the networks were trained.
    """
    of_run = len(places) == 1 and places[0].suffix not in (".csv", ".gz")
    if of_run and (output or shape):
        raise InputError("--output and --shape: only for tables of scores; a figure of a run is written to its folder")
    if not of_run and output is None:
        raise InputError("--output: missing; required for figures of tables")
    with progress("drawing"):
        if output is None:
            from fluxeq.runs.partial_report import draw
            from fluxeq.runs.status import open_run

            paths = draw(places[0], open_run(places[0]), name)
        else:
            from fluxeq.lattice import shape_name
            from fluxeq.report.figures.registry import write_scores
            from fluxeq.system.files import require_writable

            require_writable(output)
            write_scores(places, name, output, shape_name(parsed_shape(shape)) if shape else None)
            paths = [output]
    for path in paths:
        print(path)


@app.command(group=STUDIES, sort_key=13)
def report(run: AnyRun, /) -> None:
    """Rewrite report.html from the stored numbers; for an unfinished run, from those available so far.

    Example: fluxeq report runs/quick
    """
    with progress("reporting"):
        from fluxeq.runs.partial_report import write_partial_report
        from fluxeq.runs.status import open_run

        written = write_partial_report(run, open_run(run))
    print(written)
