"""Resident memory of a process that trains one network after another, as in a search.

``python -m benchmarks.memory`` in the root of the repository, on Linux. Twelve EQ networks with random channels and
kernels, two epochs and three Levenberg-Marquardt steps each on 500 configurations of 60x4; most of the time is spent on
compiling. The table is ``results/benchmarks/memory.csv``.
"""

from pathlib import Path

import numpy as np

from benchmarks.tables import keep
from fluxeq.data.generation import sample
from fluxeq.nets.architecture import configured
from fluxeq.system.capacity import release_memory
from fluxeq.theory import Theory
from fluxeq.training.datasets import Data, dataset
from fluxeq.training.fit import Trainer
from fluxeq.training.recipe import Recipe

N_NETWORKS, SHAPE = 12, (60, 4)
RECIPE = Recipe(epochs=2, batch_size=10, levenberg_marquardt=3)


def main() -> None:
    """Train and measure."""
    theory, rng = Theory(4.01, 1, 1.05), np.random.default_rng(0)
    made = (dataset("regression", sample(theory, SHAPE, n, seed=seed)) for seed, n in ((1, 500), (2, 100)))
    data = Data(*made)
    keep("memory", {"networks": 0, "resident_MB": resident()}, 1)
    for n in range(1, N_NETWORKS + 1):
        layers = zip(rng.choice([4, 8, 16], 3).tolist(), (*rng.choice([1, 2, 3], 2).tolist(), 1), strict=True)
        blocks = [{"channels": channels, "kernel": kernel} for channels, kernel in layers]
        Trainer(data, configured("EQ", {"blocks": blocks}, SHAPE), RECIPE).fit(1)
        release_memory()
        keep("memory", {"networks": n, "resident_MB": resident()}, 1)


def resident() -> float:
    """Resident memory of this process in MB."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmRSS"].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    main()
