"""Lowest test loss of an EQ network, with the recipe of the original study and with Levenberg-Marquardt steps.

``python -m benchmarks.floor [CONFIGURATIONS] [INSTANCES] [FOLDER]`` in the root of the repository; the defaults are
20000, 5 and ``runs/floor-CONFIGURATIONS``. Trains on 60x4 at mu = 1.05 and tests on independent chains of 60x4 and
200x10 at eight mu from 0.91 to 1.05. Instances are trained in parallel, one per processor; running the command again
resumes. Each instance adds one row per lattice to ``results/benchmarks/floor.csv``.
"""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import Future, as_completed
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.tables import keep, read
from fluxeq.data.checkpoints import sample_to_file
from fluxeq.data.generation import Settings
from fluxeq.lattice import shape_name
from fluxeq.nets.architecture import configured
from fluxeq.theory import Theory
from fluxeq.training.datasets import load_data
from fluxeq.training.recipe import Recipe
from fluxeq.workflow.executors import processes, single_threaded

ETA, LAM, MU, SHAPE = 4.01, 1.0, 1.05, (60, 4)
TESTED_MU = (0.91, 0.93, 0.95, 0.97, 0.99, 1.01, 1.03, 1.05)
TESTED_SHAPES = ((60, 4), (200, 10))
N_TESTED = 200
"""Configurations per test set."""
NETWORK = {
    "blocks": [{"channels": 16, "kernel": kernel, "pooling": 1} for kernel in (2, 1, 1)],
    "activation": "gelu",
    "global_pooling": "average",
    "dense": [],
}
"""Suited to the target, an average over functions of 2x2 sites: one 2x2 layer, then smooth 1x1 layers."""
RECIPES = {
    "Levenberg-Marquardt": Recipe(
        epochs=20,
        patience=20,
        schedule="cosine",
        betas=(0.9, 0.99),
        amsgrad=False,
        batch_size=20,
        levenberg_marquardt=400,
    ),
    "protocol": Recipe(),
}


class Training(NamedTuple):
    """One instance."""

    recipe: str
    instance: int
    validation_loss: float
    losses: dict[str, float]
    """Test loss over all mu, by lattice."""


def main(n: str = "20000", n_instances: str = "5", folder: str = "") -> None:
    """Sample, train, test, and store the table."""
    run, n_training = Path(folder or f"runs/floor-{n}"), int(n)
    sample(run / "training.h5", n_training, MU, SHAPE, 1)
    sample(run / "validation.h5", n_training // 10, MU, SHAPE, 2)
    for shape in TESTED_SHAPES:
        for seed, mu in enumerate(TESTED_MU, 3):
            sample(tested_file(run, shape, mu), N_TESTED, mu, shape, seed)
    single_threaded()  # for the worker processes
    with processes(os.cpu_count() or 1) as (pool, *_):
        trainings: list[Future[Training]] = [
            pool.submit(trained, run, name, instance) for name in RECIPES for instance in range(int(n_instances))
        ]
        for future in as_completed(trainings):
            done = future.result()
            for row in rows(n_training, done):
                keep("floor", row, 4)
    print(
        read("floor")
        .groupby(["configurations", "recipe", "shape"])["test_loss"]
        .agg(["min", "median", "max"])
        .to_string()
    )


def sample(path: Path, n: int, mu: float, shape: tuple[int, ...], seed: int) -> None:
    """Sample an ensemble file unless it exists."""
    sample_to_file(path, Settings(Theory(ETA, LAM, mu), shape, n, 8, seed))


def tested_file(run: Path, shape: tuple[int, ...], mu: float) -> Path:
    """Path of the test set of one lattice and mu."""
    return run / f"tested-{shape_name(shape)}-{mu:g}.h5"


def trained(run: Path, name: str, instance: int) -> Training:
    """Train one instance, unless that is done, and test it."""
    from fluxeq.data.ensembles import open_ensemble
    from fluxeq.training.compiled import keep_compiled
    from fluxeq.training.datasets import dataset
    from fluxeq.training.evaluation import evaluate
    from fluxeq.training.instances import Series, train_instances
    from fluxeq.training.models import load_model

    keep_compiled()
    data = load_data("regression", [run / "training.h5"], [run / "validation.h5"])
    config = configured("EQ", NETWORK, SHAPE)
    (path,) = train_instances(Series(data, "EQ", config, RECIPES[name], seed=1), [instance], run / name)
    model, losses = load_model(path), {}
    for shape in TESTED_SHAPES:
        test = dataset(data.task, [open_ensemble(tested_file(run, shape, mu)) for mu in TESTED_MU])
        losses[shape_name(shape)] = evaluate(model, test).loss
    return Training(name, instance, model.description.validation_loss, losses)


def rows(n: int, done: Training) -> Iterator[dict[str, Any]]:
    """One row per lattice."""
    for shape, loss in done.losses.items():
        trained = {"configurations": n, "recipe": done.recipe, "instance": done.instance}
        yield {**trained, "shape": shape, "validation_loss": done.validation_loss, "test_loss": loss}


if __name__ == "__main__":
    main(*sys.argv[1:])
