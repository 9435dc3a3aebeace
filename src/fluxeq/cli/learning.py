"""Commands that train, search, evaluate and apply networks."""

import json
import secrets
import sys
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from fluxeq.cli.app import NETWORKS, ArchitectureName, AsJson, Device, Json, Many, RecipeJson, TaskName, app
from fluxeq.cli.arguments import load_config, recipe_of, space_of, varied
from fluxeq.errors import InputError
from fluxeq.system.capacity import n_processors
from fluxeq.system.progress import progress

if TYPE_CHECKING:
    from fluxeq.data.ensembles import Ensemble
    from fluxeq.system.progress import Advance
    from fluxeq.training.epoch import Reached
    from fluxeq.training.instances import Progress

MOST_INSTANCES = 10**5


@app.command(group=NETWORKS, sort_key=5)
def train(
    *,
    task: TaskName,
    architecture: ArchitectureName,
    data: Many,
    validation: Many,
    output: Path,
    instances: int = 1,
    seed: int = 0,
    config: Json = None,
    recipe: RecipeJson = None,
    augmentation: bool = False,
    device: Device = "cpu",
    together: bool = False,
) -> None:
    """Train instances of one architecture; finished ones are kept, and running the command again trains the rest.

    Example: fluxeq train --task regression --architecture EQ --data e.h5 --validation v.h5 --output models

    Parameters
    ----------
    data:
        Training ensembles; several on the same lattice are mixed.
    validation:
        Ensembles from other chains, for early stopping and for selecting the weights.
    output:
        Folder for the models (safetensors) and their learning curves (csv).
    instances:
        Number of instances with different random initialisations.
    seed:
        The same seed gives the same instances.
    config:
        Fields of the architecture that differ from its defaults, as JSON or a file with it, or best.json of a search,
        which also sets the optimiser settings it selected.
    augmentation:
        Apply a random translation to every configuration in every epoch.
    device:
        cuda: train all instances together on a GPU.
    together:
        Train all instances in one process on a CPU, too; slower there than separate processes.
    """
    with progress("training") as advance:
        from fluxeq.nets.architecture import configured
        from fluxeq.runs.jobs import Examples, Train
        from fluxeq.runs.training import remove_unfinished_trainings, train_files
        from fluxeq.study.family import FixedNetwork
        from fluxeq.system.files import model_file, require_writable, sole_owner
        from fluxeq.training.compiled import keep_compiled
        from fluxeq.training.datasets import load_data
        from fluxeq.training.device import Device as LearningDevice
        from fluxeq.training.instances import Series, train_instances

        if not 1 <= instances <= MOST_INSTANCES:
            raise InputError(f"instances = {instances}: must be from 1 to {MOST_INSTANCES}")
        _require_seed(seed)
        require_writable(output / model_file(architecture, 0))
        there = LearningDevice(device)
        there.use()
        keep_compiled()
        (chosen, changes), general = load_config(config), recipe_of(recipe)
        found = load_data(task, data, validation)
        built = configured(architecture, chosen, found.training.shape)
        the_recipe = varied(general, len(found.training), changes, config)
        in_step, n_workers = together or there.together, min(instances, n_processors())
        each = the_recipe.epochs + the_recipe.levenberg_marquardt
        complete = all((output / model_file(architecture, instance)).exists() for instance in range(instances))
        with sole_owner(output / f".{architecture}.lock", f"trains {architecture}"):
            remove_unfinished_trainings(output, architecture)
            if in_step or n_workers == 1 or complete:
                note = _watched(advance, instances, each)
                series = Series(found, architecture, built, the_recipe, augmentation, seed)
                paths = train_instances(series, range(instances), output, in_step, note, there)
            else:
                files = Examples(task=task, training=tuple(map(str, data)), validation=tuple(map(str, validation)))
                network = FixedNetwork(config=built.model_dump(mode="json"))
                shared = {"examples": files, "architecture": architecture, "network": network, "recipe": the_recipe}
                shared |= {"augmentation": augmentation, "seed": seed, "output": str(output)}
                works = [Train.model_validate({**shared, "instance": instance}) for instance in range(instances)]
                paths = train_files(works, n_workers, advance)
    for path in paths:
        print(path)


def _watched(advance: "Advance", n_instances: int, n_epochs: int) -> "Progress":
    """A callback that shows the progress of instances with at most ``n_epochs`` epochs each."""
    from fluxeq.runs.training import in_words

    latest: dict[int, int] = {}

    def note(reached: "dict[int, Reached]") -> None:
        latest.update({instance: at.n for instance, at in reached.items()})
        done = sum(n_epochs if i < min(reached) else latest.get(i, 0) for i in range(n_instances))
        advance(done, n_instances * n_epochs, in_words(reached.values()))

    return note


@app.command(group=NETWORKS, sort_key=7)
def evaluate(
    models: Annotated[list[Path], Parameter(name="MODEL")],
    /,
    *,
    data: Many,
    output: Path | None = None,
    family: str | None = None,
    task: Annotated[str | None, Parameter(metavar="NAME")] = None,
    json_: AsJson = False,
) -> None:
    """Evaluate models or functions on labelled configurations: loss, accuracy and bias, averaged over all of them.

    Examples: fluxeq evaluate models/EQ-000.safetensors --data test.h5;
    fluxeq evaluate mine:predict --task regression --data test.h5

    Parameters
    ----------
    models:
        Model files; with --task also functions, as package.module:function, of NumPy batches of configurations
        (n, 2 d, *shape) to (n, n_targets).
    data:
        Ensembles from chains on which the models were not trained.
    output:
        CSV file to write, with the columns of a study's metrics.csv: one row per model, ensemble, number of worms and
        target. Input of fluxeq figure.
    family:
        Family name in the table; by default the architecture, or the name of the function.
    task:
        Task of the functions: regression, detection, counting, or package.module:NAME.
    """
    with progress("scoring") as advance:
        from fluxeq.analysis.metrics import as_table
        from fluxeq.data.ensembles import open_ensemble
        from fluxeq.system.files import require_writable, write_text
        from fluxeq.training.compiled import keep_compiled
        from fluxeq.training.device import CPU

        if output is not None:
            require_writable(output)
        CPU.use()
        keep_compiled()
        ensembles, rows, table = {path: open_ensemble(path) for path in data}, [], []
        for i, (path, (file, ensemble)) in enumerate(product(models, ensembles.items())):
            advance(i, len(models) * len(data), str(path))
            found, more = _scored(path, ensemble, family, task)
            rows.append({"model": str(path), "data": str(file), **found})
            table += more
        unfit = [row for row in rows if "error" in row]
        if output is not None and table:
            write_text(output, as_table(table).to_csv(index=False))
    if len(unfit) < len(rows):
        lines = [_score_line(row, len(data) > 1) for row in rows]
        print(json.dumps(rows, indent=2) if json_ else "\n".join(lines))
    if unfit:
        raise InputError(f"{len(unfit)} of {len(rows)} models cannot be scored: {unfit[0]['error']}")


def _scored(
    path: Path, ensemble: "Ensemble", family: str | None, task: str | None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The score of one model or function and its table rows, or the reason why there are none."""
    from fluxeq.analysis.metrics import scores
    from fluxeq.tasks.task import TASKS
    from fluxeq.training.models import load_model

    try:
        if ":" in path.name and not path.exists():
            if task is None:
                raise InputError(f"{path}: no such model; a function requires --task")
            found, rows = scores(str(path), TASKS[task], ensemble, family)
        else:
            model = load_model(path)
            if ensemble.origin in (*model.description.training_origins, *model.description.validation_origins):
                print(f"fluxeq: {path}: was trained on these chains, so this is not a test", file=sys.stderr)
            found, rows = scores(model, model.task, ensemble, family)
        return asdict(found), rows
    except InputError as error:
        return {"error": str(error)}, []


@app.command(group=NETWORKS, sort_key=8)
def predict(model: Path, /, *, data: Path, output: Path) -> None:
    """Apply a model to an ensemble: predictions and true values, one row per configuration.

    Example: fluxeq predict models/EQ-000.safetensors --data test.h5 --output p.csv

    Parameters
    ----------
    model:
        A model file.
    data:
        An ensemble.
    output:
        The CSV file to write.
    """
    with progress("predicting"):
        from numpy import hstack

        from fluxeq.data.ensembles import open_ensemble
        from fluxeq.system.files import require_writable, write_text
        from fluxeq.training.compiled import keep_compiled
        from fluxeq.training.device import CPU
        from fluxeq.training.evaluation import predict as predicted
        from fluxeq.training.models import load_model

        require_writable(output)
        CPU.use()
        keep_compiled()
        loaded = load_model(model)
        ensemble = open_ensemble(data)
        values = predicted(loaded, ensemble.configurations)
        truth, names = loaded.task.labels(ensemble), loaded.task.target_names
        rows = (",".join([str(i), *(f"{value:.9g}" for value in row)]) for i, row in enumerate(hstack([values, truth])))
        head = ",".join(("configuration", *names, *(f"{name}_true" for name in names)))
        write_text(output, "\n".join([head, *rows]) + "\n")
    print(f"{output}: {len(values)} predictions")


@app.command(group=NETWORKS, sort_key=6)
def curves(files: Annotated[list[Path], Parameter(name="MODEL")], /, *, output: Path) -> None:
    """Plot learning curves of models: training and validation loss per epoch.

    Example: fluxeq curves models/EQ-000.safetensors --output curves.png

    Parameters
    ----------
    files:
        Model files with their learning curves beside them, or the curves themselves (csv).
    output:
        The image to write, .png or .pdf.
    """
    with progress("drawing"):
        from fluxeq.report.figures.curves import save_curves
        from fluxeq.system.files import require_writable

        require_writable(output)
        save_curves(files, output)
    print(output)


@app.command(group=NETWORKS, sort_key=9)
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
    space: Json = None,
    recipe: RecipeJson = None,
    prune: bool = False,
    heartbeat: int = 60,
    device: Device = "cpu",
) -> None:
    """Search hyperparameters of an architecture; running the command again resumes.

    Example: fluxeq search --task regression --architecture EQ --data e.h5 --validation v.h5
    --storage journal://trials.log --output found

    Parameters
    ----------
    data:
        Training ensembles.
    validation:
        Ensembles from other chains, on which settings are compared.
    storage:
        journal:///PATH on one machine, postgresql://... for several machines.
    output:
        Folder for best.json, trials.json and a figure of the search.
    trials:
        Number of different settings, all processes together.
    repeats:
        Trainings per setting; settings are ranked by the mean of their best losses.
    seed:
        By default drawn for each process, since equal seeds propose equal settings.
    space:
        Ranges that differ from the defaults, as JSON or a file with it.
    prune:
        Stop a setting as soon as its losses so far exclude that it wins.
    heartbeat:
        Seconds between heartbeats in PostgreSQL; a worker without one for twice as long counts as dead.
    device:
        cuda: train one network after another on a GPU.
    """
    with progress("loading"):
        from fluxeq.nets.architecture import ARCHITECTURES
        from fluxeq.report.figures.registry import write_searches
        from fluxeq.searching.results import budget, save_results
        from fluxeq.searching.search import Problem
        from fluxeq.searching.search import search as find
        from fluxeq.searching.storage import open_storage
        from fluxeq.system.files import require_writable
        from fluxeq.training.compiled import keep_compiled
        from fluxeq.training.datasets import load_data
        from fluxeq.training.device import Device as LearningDevice

        for name, value in (("trials", trials), ("repeats", repeats)):
            if value < 1:
                raise InputError(f"{name} = {value}: must be at least 1")
        ARCHITECTURES.require_known(architecture)
        require_writable(output / "best.json")
        if seed is not None:
            _require_seed(seed)
        there = LearningDevice(device)
        there.use()
        keep_compiled()
        the_space, the_recipe = space_of(space), recipe_of(recipe)
        found = load_data(task, data, validation)
        chosen_seed = secrets.randbits(32) if seed is None else seed
        opened = open_storage(storage, heartbeat)
        require_writable(output / "best.json")  # again: the storage may have created a file there
        allowed = budget(the_recipe, len(found.training), trials, repeats)
    print(f"budget of {architecture}: {allowed}")
    with progress("searching") as advance:
        problem = Problem(found, architecture, the_space, the_recipe, trials, repeats, chosen_seed, there)
        settings = find(
            problem,
            opened,
            f"{task}-{architecture}",
            lambda done, total, best: advance(done, total, f"best so far {best.value:.2e}" if best else ""),
            prune,
        )
    save_results(output, task, architecture, settings, allowed)
    write_searches([output], "search", {}, output)
    best, n_trainings = settings[0], sum(len(setting.losses) for setting in settings)
    print(f"{architecture}: tried {len(settings)} settings in {n_trainings} trainings")
    print(f"{output / 'best.json'}: mean of best losses {best.value:.3e}, {best.n_parameters} parameters")


def _score_line(row: dict[str, Any], several: bool) -> str:
    whose = f"{row['model']} on {row['data']}" if several else row["model"]
    if "error" in row:
        return f"{whose}: not scored: {row['error']}"
    parts = [f"{whose}: loss {row['loss']:.3e}"]
    if row["loss_error"] is not None:
        parts[0] += f" +- {row['loss_error']:.1e}"
    parts += [f"loss of {name} {value:.3e}" for name, value in row["per_target"].items() if len(row["per_target"]) > 1]
    parts += [f"bias of {name} {value:+.2e}" for name, value in row["bias"].items()]
    if row["accuracy"] is not None:
        parts.append(f"accuracy {row['accuracy']:.2%}")
    return ", ".join([*parts, f"{row['configurations']} configurations"])


def _require_seed(seed: int) -> None:
    if seed < 0:
        raise InputError(f"seed = {seed}: must be a non-negative integer")
