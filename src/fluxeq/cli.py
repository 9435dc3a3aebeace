"""The command line. Heavy modules are imported inside the commands, so that help answers at once.

Exit code 0 on success; 2 for what the user got wrong, with one line on standard error; 75 when the work was cut off, by
SIGTERM, SIGUSR1 or the loss of a cluster, and the same command goes on with it; 1 for anything else.
"""

import json
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import cyclopts
from cyclopts import Parameter

from fluxeq import __version__
from fluxeq.arguments import config_of, parsed_goal, parsed_integers, parsed_shape, recipe_of, space_of, varied
from fluxeq.ending import TRY_AGAIN, fail, leave, stoppable
from fluxeq.errors import ClusterLostError, InputError

app = cyclopts.App(
    name="fluxeq",
    version=__version__,
    help="Sample lattice field theory in its flux representation, and measure what network symmetries are worth on it.",
)

Many = Annotated[list[Path], Parameter(consume_multiple=True)]


def main() -> None:
    """The command ``fluxeq``."""
    try:
        with stoppable():
            app(exit_on_error=False, print_error=False, result_action="return_value")
    except cyclopts.CycloptsError as error:
        fail(2, " ".join(str(error).split()))
    except InputError as error:
        fail(2, " ".join(str(error).split()))
    except BrokenPipeError:  # the reader of our output has gone, as in ``| head``
        sys.stderr.close()
        sys.exit(1)
    except ClusterLostError as error:
        fail(TRY_AGAIN, str(error))
    except KeyboardInterrupt:
        leave(130, "stopped; the same command goes on where it was")


@app.command
def sample(
    *,
    shape: str,
    eta: float,
    lam: float,
    mu: float,
    configurations: int,
    output: Path,
    chains: int = 4,
    seed: int = 0,
    threads: int | None = None,
    device: str = "cpu",
    until: str | None = None,
    start: Path | None = None,
) -> None:
    """Sample an ensemble of closed configurations; the same command again resumes, or says that it is complete.

    Parameters
    ----------
    shape:
        Extents of the periodic lattice, time first, as in 60x4.
    eta:
        2 d + m^2, in lattice units.
    lam:
        Quartic coupling; 0 is the free field.
    mu:
        Chemical potential.
    configurations:
        How many to store, over all chains together, or at most with --until; more than a file holds extends it.
    output:
        The HDF5 file to make.
    chains:
        Independent chains, each with its own random stream.
    seed:
        The same seed gives the same file, on any number of threads.
    threads:
        Chains that run at the same time; as many as there are processors, unless given.
    device:
        cpu, or cuda for a GPU, which needs thousands of chains; the chains are the same.
    until:
        Stop when the error of an observable is small enough, as in n=0.001 or phi2=1e-4.
    start:
        An ensemble of the same lattice at a neighbouring mu, with whose last configurations the chains start.
    """
    from fluxeq.data.ensembles import open_ensemble
    from fluxeq.data.generation import Settings, sample_to_file
    from fluxeq.data.measurement import as_text, measured
    from fluxeq.theory import Theory

    if threads is not None and threads < 1:
        raise InputError(f"threads = {threads}: at least 1 is needed")
    goal = parsed_goal(until) if until else None
    warm = open_ensemble(start, 1) if start else None
    origin = warm.origin if warm else ""
    settings = Settings(Theory(eta, lam, mu), parsed_shape(shape), configurations, chains, seed, origin)
    with _bar("sampling") as advance:
        made = sample_to_file(
            output,
            settings,
            goal=goal,
            start=warm,
            device=device,
            threads=threads or _n_processors(),
            progress=advance,
        )
    found = measured(output)
    print(f"{output}: {'complete' if made else 'was complete already'}, {found.n_configurations} configurations")
    if goal:
        print(as_text(found))
        error = getattr(found, goal.observable).error
        if error is None or error > goal.error:
            print(f"fluxeq: {until} is not reached with {configurations} configurations; allow more", file=sys.stderr)


@app.command
def measure(
    ensemble: Path,
    /,
    *,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
    plot: Path | None = None,
) -> None:
    """Measure n and |phi|^2 of an ensemble: value, error, tau_int in stored configurations, R-hat over the chains.

    Parameters
    ----------
    ensemble:
        An ensemble file.
    json_:
        Print JSON.
    plot:
        A picture to draw (png or pdf): history, autocorrelation and histogram of n and |phi|^2.
    """
    from fluxeq.data.ensembles import read_series
    from fluxeq.data.measurement import as_json, as_text, measured
    from fluxeq.files import require_writable

    found = measured(ensemble)
    if plot is not None:
        from fluxeq.figures.diagnostics import save_diagnostics

        require_writable(plot)
        save_diagnostics(read_series(ensemble), plot)
    print(json.dumps(as_json(found), indent=2) if json_ else as_text(found))


@app.command
def worms(ensemble: Path, /, *, number: str, output: Path, seed: int = 0) -> None:
    """Open worms in an ensemble: every configuration is used once, with one of the numbers of worms.

    Parameters
    ----------
    ensemble:
        An ensemble of closed configurations.
    number:
        Numbers of worms, dealt out in equal shares, as in 0,5.
    output:
        The HDF5 file to make.
    seed:
        The same seed gives the same file.
    """
    from fluxeq.data.ensembles import open_ensemble, save_ensemble
    from fluxeq.data.generation import with_worms
    from fluxeq.files import require_writable

    require_writable(output)
    if output.exists():
        raise InputError(f"{output}: exists; remove it or choose another output")
    opened = with_worms(open_ensemble(ensemble), parsed_integers("number", number), seed)
    save_ensemble(output, opened)
    print(f"{output}: {len(opened)} configurations with {number} open worms")


@app.command
def train(
    *,
    task: str,
    architecture: str,
    data: Many,
    validation: Many,
    output: Path,
    instances: int = 1,
    seed: int = 0,
    config: Path | None = None,
    recipe: Path | None = None,
    augmentation: Annotated[bool, Parameter(negative="")] = False,
    device: str = "cpu",
    together: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Train instances of one architecture; finished ones are kept, so the same command again trains what is missing.

    Parameters
    ----------
    task:
        regression, detection or counting.
    architecture:
        EQ, ST or FL.
    data:
        Ensembles to train on; several of one lattice are mixed.
    validation:
        Ensembles from other chains, to stop early and to choose the weights.
    output:
        Folder for the models (safetensors) and their learning curves (csv).
    instances:
        How many, from different random starts.
    seed:
        The same seed gives the same instances.
    config:
        JSON file with the fields of the architecture that differ from its defaults, or best.json of a search, whose
        choices for the optimiser then hold.
    recipe:
        JSON file with the settings of the optimiser that differ from the original study's.
    augmentation:
        Translate every configuration at random in every epoch.
    device:
        cpu or cuda, on which all instances train together.
    together:
        Train all instances in step in one process on a CPU as well, which is slower there than side by side.
    """
    from fluxeq.files import model_file
    from fluxeq.nets.architectures import configured
    from fluxeq.studies.side_by_side import train_side_by_side
    from fluxeq.training.compiled import keep_compiled
    from fluxeq.training.datasets import load_data
    from fluxeq.training.devices import on_gpu, use_device
    from fluxeq.training.instances import train_instances

    if instances < 1:
        raise InputError(f"instances = {instances}: at least 1 is needed")
    use_device(device)
    keep_compiled()
    (chosen, changes), general = config_of(config), recipe_of(recipe)
    found = load_data(task, data, validation)
    built = configured(architecture, chosen, found.training.shape)
    the_recipe = varied(general, len(found.training), changes, config)
    asked = architecture, built, the_recipe, augmentation, range(instances), seed, output
    in_step, n_workers = together or on_gpu(), min(instances, _n_processors())
    each = the_recipe.epochs + the_recipe.polish
    complete = all((output / model_file(architecture, instance)).exists() for instance in range(instances))
    with _bar("training") as advance:
        if in_step or n_workers == 1 or complete:
            note = lambda instance, epoch: advance(instance * each + epoch, instances * each)  # noqa: E731
            paths = train_instances(found, *asked, in_step, note)
        else:
            files = task, tuple(data), tuple(validation)
            paths = train_side_by_side(files, *asked, n_workers, lambda epochs: advance(epochs, instances * each))
    for path in paths:
        print(path)


@app.command
def evaluate(
    models: Annotated[list[Path], Parameter(name="MODEL")],
    /,
    *,
    data: Path,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Score models on labelled configurations: exact means over all of them.

    Parameters
    ----------
    models:
        Model files.
    data:
        An ensemble from chains that the models were not trained on.
    json_:
        Print JSON.
    """
    from fluxeq.data.ensembles import open_ensemble
    from fluxeq.training.evaluation import evaluate as scored
    from fluxeq.training.models import load_model
    from fluxeq.training.tasks import examples

    ensemble, rows = open_ensemble(data), []
    for path in models:
        model = load_model(path)
        if ensemble.origin in (*model.description.training_origins, *model.description.validation_origins):
            print(f"fluxeq: {path}: was trained on these chains; this is no test of it", file=sys.stderr)
        rows.append({"model": str(path), **asdict(scored(model, examples(model.task, [ensemble])))})
    print(json.dumps(rows, indent=2) if json_ else "\n".join(map(_score_line, rows)))


@app.command
def predict(model: Path, /, *, data: Path, output: Path) -> None:
    """Apply a model to an ensemble: one row of predictions per configuration.

    Parameters
    ----------
    model:
        A model file.
    data:
        An ensemble.
    output:
        The CSV file to make.
    """
    from fluxeq.data.ensembles import open_ensemble
    from fluxeq.files import require_writable, whole
    from fluxeq.training.evaluation import predict as predicted
    from fluxeq.training.models import load_model

    require_writable(output)
    loaded = load_model(model)
    values = predicted(loaded, open_ensemble(data).configurations)
    rows = (",".join([str(i), *(f"{value:.9g}" for value in row)]) for i, row in enumerate(values))
    with whole(output) as temporary:
        temporary.write_text("\n".join([",".join(("configuration", *loaded.task.targets)), *rows]) + "\n")
    print(f"{output}: {len(values)} predictions")


@app.command
def search(
    *,
    task: str,
    architecture: str,
    data: Many,
    validation: Many,
    storage: str,
    output: Path,
    trials: int = 50,
    repeats: int = 3,
    seed: int | None = None,
    space: Path | None = None,
    recipe: Path | None = None,
    prune: Annotated[bool, Parameter(negative="")] = False,
    heartbeat: int = 60,
) -> None:
    """Search the best setting of an architecture; the same command again goes on.

    Parameters
    ----------
    task:
        regression, detection or counting.
    architecture:
        EQ, ST or FL.
    data:
        Ensembles to train on.
    validation:
        Ensembles from other chains, on which settings are compared.
    storage:
        journal:///PATH on one machine, postgresql://... across machines.
    output:
        Folder for best.json, trials.json and a figure of the search.
    trials:
        Different settings to try, over all processes together.
    repeats:
        Trainings of each setting; the mean of their best losses counts.
    seed:
        Drawn anew for each process unless given, since equal seeds propose equal settings.
    space:
        JSON file with the ranges that differ from the defaults.
    recipe:
        JSON file with the settings of the optimiser that differ from the original study's.
    prune:
        Give a setting up as soon as its losses alone say that it cannot win.
    heartbeat:
        Seconds between two signs of life in PostgreSQL; a worker that is silent for twice as long counts as killed.
    """
    from fluxeq.figures.registry import write_search
    from fluxeq.files import require_writable
    from fluxeq.nets.architectures import require_architecture
    from fluxeq.search.results import budget, save_results
    from fluxeq.search.search import search as find
    from fluxeq.search.storage import open_storage
    from fluxeq.training.datasets import load_data

    for name, value in (("trials", trials), ("repeats", repeats)):
        if value < 1:
            raise InputError(f"{name} = {value}: at least 1 is needed")
    require_architecture(architecture)
    require_writable(output / "best.json")
    the_space, the_recipe = space_of(space), recipe_of(recipe)
    found = load_data(task, data, validation)
    chosen_seed = secrets.randbits(32) if seed is None else seed
    opened = open_storage(storage, heartbeat)
    allowed = budget(the_recipe, len(found.training), trials, repeats)
    print(f"budget of {architecture}: {allowed}")
    with _bar("searching") as advance:
        settings = find(
            found,
            architecture,
            the_space,
            the_recipe,
            trials,
            repeats,
            chosen_seed,
            opened,
            f"{task}-{architecture}",
            advance,
            prune,
        )
    save_results(output, task, architecture, settings, allowed)
    write_search(output)
    best, n_trainings = settings[0], sum(len(setting.losses) for setting in settings)
    print(f"{architecture}: tried {len(settings)} settings in {n_trainings} trainings")
    print(f"{output / 'best.json'}: mean of best losses {best.value:.3e}, {best.n_parameters} parameters")


@app.command
def reproduce(
    study: str,
    /,
    *,
    output: Path,
    executor: str = "local",
    scheduler: str | None = None,
    device: str = "cpu",
    workers: int | None = None,
    instances_per_task: int | None = None,
    task: tuple[str, ...] = (),
    replace: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Do a whole study: sample, search, train, evaluate, draw, judge, report. The same command again goes on.

    Parameters
    ----------
    study:
        quick, laptop, paper, or the path of a TOML file.
    output:
        Folder of the run.
    executor:
        local, or dask for a Dask cluster.
    scheduler:
        Address of the scheduler of that cluster, as in tcp://host:8786; a cluster on this machine, unless given.
    device:
        cpu, or cuda: networks learn on a GPU, held by one process; all else stays on the CPU.
    workers:
        Processes that work at the same time; as many as there are processors, unless given.
    instances_per_task:
        Instances that one process trains one after another; all those of a training, or 1 on a Dask cluster, unless
        given. More are compiled only once, fewer are spread over more processes; results are the same.
    task:
        regression, detection or counting: do only what this task needs, and report that; may be given several times.
        The same command without it does the rest.
    replace:
        Discard the searches, trained models and ensembles of another version of the study that are in the place of its
        own; without it they are named, and stay.
    """
    from fluxeq.studies.executors import executor as opened
    from fluxeq.studies.executors import require_executor
    from fluxeq.studies.gpu_process import with_gpu
    from fluxeq.studies.run import open_run
    from fluxeq.studies.run import reproduce as run
    from fluxeq.studies.so_far import write_so_far
    from fluxeq.training.devices import require_device

    require_executor(executor, scheduler, workers)
    require_device(device)
    if instances_per_task is not None and instances_per_task < 1:
        raise InputError(f"instances_per_task = {instances_per_task}: at least 1 is needed")
    if instances_per_task is None and executor == "dask":
        instances_per_task = 1
    processes = partial(opened, executor, workers or _n_processors(), scheduler)
    with _bar("jobs") as advance:
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
def status(run: Path, /, *, json_: Annotated[bool, Parameter(name="--json", negative="")] = False) -> None:
    """Say how far a run is.

    Parameters
    ----------
    run:
        Folder of a run.
    json_:
        Print JSON.
    """
    from fluxeq.studies.run import counts, open_run, progress

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
    from fluxeq.studies.run import open_run
    from fluxeq.studies.so_far import draw

    for path in draw(run, open_run(run), name):
        print(path)


@app.command
def report(run: Path, /) -> None:
    """Write report.html again from the stored numbers; of an unfinished run, with what there is so far.

    Parameters
    ----------
    run:
        Folder of a run.
    """
    from fluxeq.studies.run import open_run
    from fluxeq.studies.so_far import write_so_far

    print(write_so_far(run, open_run(run)))


def _score_line(row: dict[str, Any]) -> str:
    parts = [f"{row['model']}: loss {row['loss']:.3e}"]
    if row["loss_error"] is not None:
        parts[0] += f" +- {row['loss_error']:.1e}"
    parts += [f"loss of {name} {value:.3e}" for name, value in row["per_target"].items() if len(row["per_target"]) > 1]
    parts += [f"bias of {name} {value:+.2e}" for name, value in row["bias"].items()]
    if row["accuracy"] is not None:
        parts.append(f"accuracy {row['accuracy']:.2%}")
    return ", ".join([*parts, f"{row['configurations']} configurations"])


def _n_processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _bar(title: str) -> Iterator[Callable[..., None]]:
    """A progress bar on a terminal, and plain lines elsewhere; call it with what is done, the total and a remark."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn(title),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            row = bar.add_task("", total=None)
            yield lambda done, total, remark="": bar.update(row, completed=done, total=total, description=remark)
        return
    before = 0.0

    def line(done: int, total: int, remark: str = "") -> None:
        """At most one line every two seconds, and one at the end."""
        nonlocal before
        now = time.monotonic()
        if now - before > 2 or done == total:
            before = now
            print(f"{title}: {done} of {total} {remark}".rstrip(), file=sys.stderr, flush=True)

    yield line
