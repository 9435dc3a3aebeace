"""Cause of runaway losses at other mu: AdamW at two rates, then Levenberg-Marquardt steps without and with ridge.

``python -m benchmarks.runaway [INSTANCES] [NETWORK ...]`` in the root of the repository, by default 1 and all nine.
Trains the winners of the searches of ``laptop`` with its recipe on 2000 configurations of 60x4 at mu = 1.05, and tests
them on independent chains, 200 configurations at each of five mu. One process; existing rows of the table
(``results/benchmarks/runaway.csv``) are kept; these are of the searches at commit f6a08d4. Networks too
large for the steps have only rows for AdamW.
"""

import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.floor import RECIPES, SHAPE, sample
from benchmarks.tables import keep, read
from fluxeq.data.ensembles import open_ensemble
from fluxeq.nets.architecture import configured
from fluxeq.system.files import derived_seed
from fluxeq.training.compiled import keep_compiled
from fluxeq.training.datasets import Data, Dataset, dataset
from fluxeq.training.epoch import Training
from fluxeq.training.evaluation import outputs, score
from fluxeq.training.fit import Trainer

NETWORKS = ("FL-2", "ST-3", "EQ", "EQ-3", "ST", "FL", "FL-3", "EQ-2", "ST-2")
SEARCHES, RUN = Path("results/laptop/searches"), Path("runs/runaway")
MU, TESTED_MU, N_TRAINING, N_TESTED = 1.05, (0.91, 0.95, 0.98, 1.01, 1.05), 2000, 200
RATES = (1e-2, 1e-3)
CHANGES = {"epochs": 60, "patience": 60, "batch_size": 10, "levenberg_marquardt": 50}
RECIPE = RECIPES["Levenberg-Marquardt"].model_copy(update=CHANGES)


def main(n_instances: str = "1", *names: str) -> None:
    """Train and test the instances missing in the table."""
    keep_compiled()
    training, validation = (ensemble(MU, n, seed) for n, seed in ((N_TRAINING, 1), (N_TRAINING // 10, 2)))
    tests = {mu: ensemble(mu, N_TESTED, seed) for seed, mu in enumerate(TESTED_MU, 3)}
    for rate in RATES:
        for name in names or NETWORKS:
            recipe = RECIPE.model_copy(update={"learning_rate": rate})
            trainer = Trainer(Data(training, validation), winner(name), recipe)
            for instance in range(int(n_instances)):
                if not is_known(name, rate, instance):
                    compare(trainer, tests, {"network": name, "rate": rate, "instance": instance})


def ensemble(mu: float, n: int, seed: int) -> Dataset:
    """A labelled ensemble, sampled unless its file exists."""
    path = RUN / f"{mu:g}-{n}-{seed}.h5"
    sample(path, n, mu, SHAPE, seed)
    return dataset("regression", open_ensemble(path))


def winner(name: str) -> Any:
    """The winner of a search of ``laptop``; at that time all readouts were pooled."""
    best = json.loads((SEARCHES / f"regression-{name}" / "best.json").read_text())
    readout = {} if best["architecture"] == "FL" else {"readout": "pooled"}
    return configured(best["architecture"], best["config"] | readout, SHAPE)


def is_known(name: str, rate: float, instance: int) -> bool:
    """Whether the table has all rows of an instance."""
    table = read("runaway")
    if table.empty:
        return False
    rows = table[(table["network"] == name) & (table["rate"] == rate) & (table["instance"] == instance)]
    return not {"ridge", "none possible"}.isdisjoint(rows["steps"])


def compare(trainer: Trainer, tests: dict[float, Dataset], named: dict[str, Any]) -> None:
    """Train one instance; store one row for each variant of the Levenberg-Marquardt steps."""
    start = time.process_time()
    ((_, begun),) = trainer.epochs({0: trainer.begin(derived_seed(1, named["instance"]))})
    method = trainer._method
    row(trainer, tests, begun, named | {"steps": "none" if method else "none possible"}, start)
    if method is None:
        return
    for steps, step in (("no ridge", partial(without_ridge, method.step)), ("ridge", method.step)):
        method.step, start = step, time.process_time()  # type: ignore[method-assign]
        row(trainer, tests, trainer.finished(0, begun), named | {"steps": steps}, start)


def without_ridge(step: Any, at: Any, examples: Any, noise: float) -> Any:
    """A step without ridge, which minimises the training loss only."""
    return step(at, examples, 0.0)


def row(trainer: Trainer, tests: dict[float, Dataset], training: Training, named: dict[str, Any], start: float) -> None:
    """Test a network and store its row."""
    seconds, (network, curve) = time.process_time() - start, trainer.result(training)
    losses = {
        f"mu={mu:g}": score(test.task, outputs(network, test.configurations), test.labels, test.chain).loss
        for mu, test in tests.items()
    }
    known = {"n_parameters": trainer.n_parameters, "n_steps": training.n_levenberg_marquardt, "seconds": seconds}
    keep("runaway", named | known | {"validation_loss": curve.best} | losses, 4)


if __name__ == "__main__":
    main(*sys.argv[1:])
