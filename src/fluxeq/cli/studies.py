"""The commands that carry out whole studies and show what they have found."""

import json
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from fluxeq.cli.app import Device, TaskName, app
from fluxeq.cli.progress import progress
from fluxeq.errors import InputError
from fluxeq.system.capacity import n_processors


@app.command
def reproduce(
    study: str,
    /,
    *,
    output: Path,
    executor: Literal["local", "dask"] = "local",
    scheduler: str | None = None,
    device: Device = "cpu",
    workers: int | None = None,
    instances_per_task: int | None = None,
    task: Annotated[tuple[TaskName, ...], Parameter(show_default=False)] = (),
    replace: bool = False,
) -> None:
    """Do a whole study: sample, search, train, evaluate, draw, judge, report. The same command again goes on.

    Parameters
    ----------
    study:
        quick, laptop, paper, or the path of a TOML file.
    output:
        Folder of the run.
    executor:
        Processes on this machine, or a Dask cluster.
    scheduler:
        Address of the scheduler of that cluster, as in tcp://host:8786; a cluster on this machine, unless given.
    device:
        cuda: networks learn on a GPU, held by one process; the rest stays on the CPU.
    workers:
        Processes that work at the same time; as many as there are processors, unless given.
    instances_per_task:
        Instances that one process trains one after another; all those of a training, or 1 on a Dask cluster, unless
        given. More are compiled only once, fewer are spread over more processes; results are the same.
    task:
        Do only what this task needs, and report that; may be given several times.
        The same command without it does the rest.
    replace:
        Discard the searches, trained models and ensembles of another version of the study that are in the place of its
        own; without it they are named, and stay.
    """
    from fluxeq.runs.partial_report import write_so_far
    from fluxeq.runs.run import open_run
    from fluxeq.runs.run import reproduce as run
    from fluxeq.training import device as devices
    from fluxeq.workflow.executors import executor as opened
    from fluxeq.workflow.executors import require_executor
    from fluxeq.workflow.gpu_process import with_gpu

    require_executor(executor, scheduler, workers)
    devices.Device(device).require()
    if instances_per_task is not None and instances_per_task < 1:
        raise InputError(f"instances_per_task = {instances_per_task}: at least 1 is needed")
    if instances_per_task is None and executor == "dask":
        instances_per_task = 1
    processes = partial(opened, executor, workers or n_processors(), scheduler)
    with progress("jobs") as advance:
        n = run(
            study,
            output,
            lambda: processes() if device == "cpu" else with_gpu(processes()),
            lambda event: advance(event.n_done, event.n_jobs, f"{event.job.name} {event.seconds:.1f} s"),
            instances_per_task,
            task,
            replace=replace,
        )
        if task and (n or not (output / "report.html").exists()):
            write_so_far(output, open_run(output))
    part = f"{' and '.join(dict.fromkeys(task))} " if task else ""
    print(f"{output / 'report.html'}: {part}{f'complete, {n} jobs done now' if n else 'was complete already'}")


@app.command
def status(run: Path, /, *, json_: Annotated[bool, Parameter(name="--json")] = False) -> None:
    """Say how far a run is.

    Parameters
    ----------
    run:
        Folder of a run.
    json_:
        Print JSON.
    """
    from fluxeq.runs.run import counts, open_run, progress

    found = progress(run, open_run(run))
    if json_:
        print(json.dumps(counts(found), indent=2))
        return
    for kind, n_done, n_jobs in found:
        print(f"{kind:10} {n_done:5d} of {n_jobs}")


@app.command
def figure(run: Path, name: str, /) -> None:
    """Draw one figure again from the stored numbers; of an unfinished run, with what there is so far.

    Parameters
    ----------
    run:
        Folder of a run.
    name:
        fig1, fig2, fig3, fig4, fig5a, fig5b, fig6a, fig6b, fig7a, fig7b or search.
    """
    with progress("drawing"):
        from fluxeq.runs.partial_report import draw
        from fluxeq.runs.run import open_run

        paths = draw(run, open_run(run), name)
    for path in paths:
        print(path)


@app.command
def report(run: Path, /) -> None:
    """Write report.html again from the stored numbers; of an unfinished run, with what there is so far.

    Parameters
    ----------
    run:
        Folder of a run.
    """
    with progress("reporting"):
        from fluxeq.runs.partial_report import write_so_far
        from fluxeq.runs.run import open_run

        written = write_so_far(run, open_run(run))
    print(written)
