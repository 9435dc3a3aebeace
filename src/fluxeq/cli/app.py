"""The command line. Heavy modules are imported inside the commands, so that help answers at once.

How a command ends is in ``ending``.
"""

import json
import secrets
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import cyclopts
from cyclopts import Parameter

from fluxeq import __version__
from fluxeq.cli.arguments import config_of, parsed_goal, parsed_integers, parsed_shape, recipe_of, space_of, varied
from fluxeq.cli.progress import progress
from fluxeq.errors import GoalMissedError, InputError
from fluxeq.system.capacity import n_processors

if TYPE_CHECKING:
    from fluxeq.data.ensembles import Ensemble

app = cyclopts.App(
    name="fluxeq",
    version=__version__,
    help="Sample lattice field theory in its flux representation, and measure what network symmetries are worth on it.",
    default_parameter=Parameter(negative=""),
    suppress_keyboard_interrupt=False,  # a signal ends every command in the same way
)

MOST_INSTANCES = 10**5
Many = Annotated[list[Path], Parameter(consume_multiple=True)]
TaskName = Literal["regression", "detection", "counting"]
ArchitectureName = Literal["EQ", "ST", "FL"]
Device = Literal["cpu", "cuda"]


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
    device: Device = "cpu",
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
        cuda is a GPU, which needs thousands of chains to be worth it; the chains are the same.
    until:
        Stop when the error of an observable is small enough, as in n=0.001 or phi2=1e-4.
    start:
        An ensemble of the same lattice at a neighbouring mu, with whose last configurations the chains start.
    """
    from fluxeq.data.ensembles import open_ensemble, read_series
    from fluxeq.data.generation import Settings, sample_to_file
    from fluxeq.data.measurement import as_text, measured
    from fluxeq.theory import Theory

    goal = None if until is None else parsed_goal(until)
    warm = open_ensemble(start, 1) if start else None
    origin = warm.origin if warm else ""
    settings = Settings(Theory(eta, lam, mu), parsed_shape(shape), configurations, chains, seed, origin)
    with progress("sampling") as advance:
        made = sample_to_file(
            output,
            settings,
            goal=goal,
            start=warm,
            device=device,
            threads=n_processors() if threads is None else threads,
            progress=advance,
        )
    found = measured(output)
    missed = goal.missed(getattr(read_series(output), goal.observable), settings.shape) if goal else ""
    says = "kept" if missed else "complete" if made else "was complete already"
    print(f"{output}: {says}, {found.n_configurations} configurations")
    if goal:
        print(as_text(found))
    if missed:
        raise GoalMissedError(missed)


@app.command
def measure(
    ensemble: Path,
    /,
    *,
    json_: Annotated[bool, Parameter(name="--json")] = False,
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
    with progress("measuring"):
        from fluxeq.data.ensembles import read_series
        from fluxeq.data.measurement import as_json, as_text, measured
        from fluxeq.system.files import require_writable

        if plot is not None:
            require_writable(plot)
        found = measured(ensemble)
        if plot is not None:
            from fluxeq.report.figures.diagnostics import save_diagnostics

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
    with progress("opening worms"):
        from fluxeq.data.ensembles import open_ensemble, save_ensemble
        from fluxeq.data.generation import sole_maker, with_worms
        from fluxeq.system.files import require_writable

        numbers = parsed_integers("number", number)
        require_writable(output)
        with sole_maker(output):
            if output.exists():
                raise InputError(f"{output}: exists; remove it or choose another output")
            opened = with_worms(open_ensemble(ensemble), numbers, seed)
            save_ensemble(output, opened)
    print(f"{output}: {len(opened)} configurations with {number} open worms")


@app.command
def train(
    *,
    task: TaskName,
    architecture: ArchitectureName,
    data: Many,
    validation: Many,
    output: Path,
    instances: int = 1,
    seed: int = 0,
    config: Path | None = None,
    recipe: Path | None = None,
    augmentation: bool = False,
    device: Device = "cpu",
    together: bool = False,
) -> None:
    """Train instances of one architecture; finished ones are kept, so the same command again trains what is missing.

    Parameters
    ----------
    task:
        What the networks are to learn.
    architecture:
        Which symmetry the networks have: EQ keeps translations, ST weakens them by strides, FL breaks them.
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
        cuda is a GPU, on which all instances train together.
    together:
        Train all instances in step in one process on a CPU as well, which is slower there than side by side.
    """
    with progress("training") as advance:
        from fluxeq.nets.architecture import configured
        from fluxeq.runs.side_by_side import train_side_by_side
        from fluxeq.system.files import claimed, model_file, require_writable
        from fluxeq.training.compiled import keep_compiled
        from fluxeq.training.datasets import load_data
        from fluxeq.training.devices import on_gpu, use_device
        from fluxeq.training.instances import train_instances

        if not 1 <= instances <= MOST_INSTANCES:
            raise InputError(f"instances = {instances}: from 1 to {MOST_INSTANCES} are possible")
        _require_seed(seed)
        require_writable(output / model_file(architecture, 0))
        use_device(device)
        keep_compiled()
        (chosen, changes), general = config_of(config), recipe_of(recipe)
        found = load_data(task, data, validation)
        built = configured(architecture, chosen, found.training.shape)
        the_recipe = varied(general, len(found.training), changes, config)
        asked = architecture, built, the_recipe, augmentation, range(instances), seed, output
        in_step, n_workers = together or on_gpu(), min(instances, n_processors())
        each = the_recipe.epochs + the_recipe.polish
        complete = all((output / model_file(architecture, instance)).exists() for instance in range(instances))
        with claimed(output / f".{architecture}.lock", f"trains {architecture}"):
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
    json_: Annotated[bool, Parameter(name="--json")] = False,
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
    with progress("scoring") as advance:
        from fluxeq.data.ensembles import open_ensemble
        from fluxeq.training.compiled import keep_compiled
        from fluxeq.training.devices import use_device

        use_device("cpu")
        keep_compiled()
        ensemble, rows = open_ensemble(data), []
        for i, path in enumerate(models):
            advance(i, len(models), str(path))
            rows.append(_scored(path, ensemble))
    unfit = [row for row in rows if "error" in row]
    if len(unfit) < len(rows):
        print(json.dumps(rows, indent=2) if json_ else "\n".join(map(_score_line, rows)))
    if unfit:
        raise InputError(f"{len(unfit)} of {len(rows)} models cannot be scored: {unfit[0]['error']}")


def _scored(path: Path, ensemble: "Ensemble") -> dict[str, Any]:
    """The score of one model, or why there is none."""
    from fluxeq.training.datasets import dataset
    from fluxeq.training.evaluation import evaluate as score
    from fluxeq.training.models import load_model

    try:
        model = load_model(path)
        if ensemble.origin in (*model.description.training_origins, *model.description.validation_origins):
            print(f"fluxeq: {path}: was trained on these chains; this is no test of it", file=sys.stderr)
        return {"model": str(path), **asdict(score(model, dataset(model.task, ensemble)))}
    except InputError as error:
        return {"model": str(path), "error": str(error)}


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
    with progress("predicting"):
        from fluxeq.data.ensembles import open_ensemble
        from fluxeq.system.files import require_writable, write_text
        from fluxeq.training.compiled import keep_compiled
        from fluxeq.training.devices import use_device
        from fluxeq.training.evaluation import predict as predicted
        from fluxeq.training.models import load_model

        require_writable(output)
        use_device("cpu")
        keep_compiled()
        loaded = load_model(model)
        values = predicted(loaded, open_ensemble(data).configurations)
        rows = (",".join([str(i), *(f"{value:.9g}" for value in row)]) for i, row in enumerate(values))
        write_text(output, "\n".join([",".join(("configuration", *loaded.task.target_names)), *rows]) + "\n")
    print(f"{output}: {len(values)} predictions")


@app.command
def search(
    *,
    task: TaskName,
    architecture: ArchitectureName,
    data: Many,
    validation: Many,
    storage: str,
    output: Path,
    trials: int = 50,
    repeats: int = 3,
    seed: int | None = None,
    space: Path | None = None,
    recipe: Path | None = None,
    prune: bool = False,
    heartbeat: int = 60,
    device: Device = "cpu",
) -> None:
    """Search the best setting of an architecture; the same command again goes on.

    Parameters
    ----------
    task:
        What the networks are to learn.
    architecture:
        Which symmetry the networks have: EQ keeps translations, ST weakens them by strides, FL breaks them.
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
    device:
        cuda is a GPU, on which one network after another trains.
    """
    with progress("loading"):
        from fluxeq.nets.architecture import ARCHITECTURES
        from fluxeq.report.figures.registry import write_search
        from fluxeq.search.results import budget, save_results
        from fluxeq.search.search import search as find
        from fluxeq.search.storage import open_storage
        from fluxeq.system.files import require_writable
        from fluxeq.training.compiled import keep_compiled
        from fluxeq.training.datasets import load_data
        from fluxeq.training.devices import use_device

        for name, value in (("trials", trials), ("repeats", repeats)):
            if value < 1:
                raise InputError(f"{name} = {value}: at least 1 is needed")
        ARCHITECTURES.require_known(architecture)
        require_writable(output / "best.json")
        if seed is not None:
            _require_seed(seed)
        use_device(device)
        keep_compiled()
        the_space, the_recipe = space_of(space), recipe_of(recipe)
        found = load_data(task, data, validation)
        chosen_seed = secrets.randbits(32) if seed is None else seed
        opened = open_storage(storage, heartbeat)
        require_writable(output / "best.json")  # again: the storage may have taken its place
        allowed = budget(the_recipe, len(found.training), trials, repeats)
    print(f"budget of {architecture}: {allowed}")
    with progress("searching") as advance:
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
    from fluxeq.training.devices import require_device
    from fluxeq.workflow.executors import executor as opened
    from fluxeq.workflow.executors import require_executor
    from fluxeq.workflow.gpu_process import with_gpu

    require_executor(executor, scheduler, workers)
    require_device(device)
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


def _score_line(row: dict[str, Any]) -> str:
    if "error" in row:
        return f"{row['model']}: not scored: {row['error']}"
    parts = [f"{row['model']}: loss {row['loss']:.3e}"]
    if row["loss_error"] is not None:
        parts[0] += f" +- {row['loss_error']:.1e}"
    parts += [f"loss of {name} {value:.3e}" for name, value in row["per_target"].items() if len(row["per_target"]) > 1]
    parts += [f"bias of {name} {value:+.2e}" for name, value in row["bias"].items()]
    if row["accuracy"] is not None:
        parts.append(f"accuracy {row['accuracy']:.2%}")
    return ", ".join([*parts, f"{row['configurations']} configurations"])


def _require_seed(seed: int) -> None:
    if seed < 0:
        raise InputError(f"seed = {seed}: a seed is a whole number from 0 on")
