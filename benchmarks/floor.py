"""How low the test loss of an EQ network gets, with the protocol's recipe and with a polish.

``python -m benchmarks.floor [CONFIGURATIONS] [INSTANCES] [FOLDER]`` in the root of the repository: 20000, 5 and
``runs/floor-CONFIGURATIONS`` unless given. Trains on 60x4 at mu = 1.05 and tests on 60x4 and 200x10 at eight mu from
0.91 to 1.05, on other chains. Instances train side by side, one a processor; the same command again goes on where it
was. Adds one row for each recipe, instance and lattice to ``docs/floor.csv``.
"""

import os
import sys
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from fluxeq.data.generation import Settings, sample_to_file
from fluxeq.files import whole
from fluxeq.nets.architectures import configured
from fluxeq.studies.executors import keep_to_one_thread, processes
from fluxeq.theory import Theory
from fluxeq.training.datasets import load_data
from fluxeq.training.recipe import Recipe

ETA, LAM, MU, SHAPE = 4.01, 1.0, 1.05, (60, 4)
TESTED_MU = (0.91, 0.93, 0.95, 0.97, 0.99, 1.01, 1.03, 1.05)
TESTED_SHAPES = ((60, 4), (200, 10))
N_TESTED = 200
"""Configurations of a test set."""
NETWORK = {
    "blocks": [{"channels": 16, "kernel": kernel, "pooling": 1} for kernel in (2, 1, 1)],
    "activation": "gelu",
    "global_pooling": "average",
    "dense": [],
}
"""What the target asks for: one layer that sees 2x2 sites, and smooth layers that see one."""
RECIPES = {
    "protocol": Recipe(),
    "polished": Recipe(
        epochs=20,
        patience=20,
        schedule="cosine",
        betas=(0.9, 0.99),
        amsgrad=False,
        batch_size=20,
        polish=400,
    ),
}
TABLE = Path("docs/floor.csv")


class Training(NamedTuple):
    """One instance."""

    recipe: str
    instance: int
    validation_loss: float
    losses: dict[str, float]
    """Test losses by lattice, over all mu."""


def main(n: int = 20000, n_instances: int = 5, folder: Path | None = None) -> None:
    """Sample, train, test, and write the table."""
    run = folder or Path(f"runs/floor-{n}")
    sample(run / "training.h5", n, MU, SHAPE, 1)
    sample(run / "validation.h5", n // 10, MU, SHAPE, 2)
    for shape in TESTED_SHAPES:
        for seed, mu in enumerate(TESTED_MU, 3):
            sample(test_file(run, shape, mu), N_TESTED, mu, shape, seed)
    keep_to_one_thread()  # for those that are started now
    with processes(os.cpu_count() or 1) as pool:
        trainings: list[Future[Training]] = [
            pool.submit(trained, run, name, instance) for instance in range(n_instances) for name in RECIPES
        ]
        for future in trainings:
            done = future.result()
            losses = ", ".join(f"{shape} {loss:.3g}" for shape, loss in done.losses.items())
            print(f"{done.recipe:9} {done.instance}  validation {done.validation_loss:.3g}  test {losses}", flush=True)
    save(n, [future.result() for future in trainings])


def sample(path: Path, n: int, mu: float, shape: tuple[int, ...], seed: int) -> None:
    """An ensemble file, kept if it is there."""
    sample_to_file(path, Settings(Theory(ETA, LAM, mu), shape, n, 8, seed))


def test_file(run: Path, shape: tuple[int, ...], mu: float) -> Path:
    """The test set of one lattice and mu."""
    return run / f"test-{'x'.join(map(str, shape))}-{mu:g}.h5"


def trained(run: Path, name: str, instance: int) -> Training:
    """Train and test one instance; one that is trained already is only tested."""
    from fluxeq.data.ensembles import open_ensemble
    from fluxeq.training.compiled import keep_compiled
    from fluxeq.training.evaluation import evaluate
    from fluxeq.training.instances import train_instances
    from fluxeq.training.models import load_model
    from fluxeq.training.tasks import examples

    keep_compiled()
    data = load_data("regression", [run / "training.h5"], [run / "validation.h5"], None)
    config = configured("EQ", NETWORK, SHAPE)
    (path,) = train_instances(data, "EQ", config, RECIPES[name], False, [instance], 1, run / name)
    model, losses = load_model(path), {}
    for shape in TESTED_SHAPES:
        tests = [examples(data.task, [open_ensemble(test_file(run, shape, mu))]) for mu in TESTED_MU]
        losses["x".join(map(str, shape))] = float(np.mean([evaluate(model, test).loss for test in tests]))
    return Training(name, instance, model.description.validation_loss, losses)


def save(n: int, trainings: list[Training]) -> None:
    """Put the rows of ``n`` configurations into the table, and print the medians."""
    rows = [
        {
            "configurations": n,
            "recipe": training.recipe,
            "instance": training.instance,
            "shape": shape,
            "validation_loss": training.validation_loss,
            "test_loss": loss,
        }
        for training in trainings
        for shape, loss in training.losses.items()
    ]
    table = pd.DataFrame(rows)
    print(table.groupby(["recipe", "shape"])["test_loss"].agg(["min", "median", "max"]).to_string())
    if TABLE.exists():
        before = pd.read_csv(TABLE)
        table = pd.concat([before[before["configurations"] != n], table])
    with whole(TABLE) as temporary:
        table.sort_values(["configurations", "recipe", "instance", "shape"]).to_csv(temporary, index=False)


if __name__ == "__main__":
    n, n_instances = (int(text) for text in (*sys.argv[1:3], *("20000", "5")[len(sys.argv[1:3]) :]))
    main(n, n_instances, Path(sys.argv[3]) if len(sys.argv) > 3 else None)
