"""Small ensembles shared by many tests: made once, not to be changed."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import fluxeq
from fluxeq.data.ensembles import Ensemble, save_ensemble
from fluxeq.data.generation import open_worms
from fluxeq.tasks.task import TASKS
from fluxeq.theory import Theory
from fluxeq.training.datasets import Data, dataset

SHAPE = (4, 4)

TARGETS = TASKS["regression"].targets


@cache
def closed(
    seed: int, n: int = 40, shape: tuple[int, ...] = SHAPE, mu: float = 1.5, n_chains: int = 4
) -> fluxeq.Ensemble:
    """Closed configurations of a dense theory; another seed gives other chains."""
    return fluxeq.sample(Theory(4.01, 1, mu), shape, n, chains=n_chains, seed=seed)


@cache
def opened(seed: int, numbers: tuple[int, ...] = (0, 1), n: int = 40) -> Ensemble:
    """The same with open worms."""
    return open_worms(closed(seed, n), numbers, seed=seed)


@cache
def data(task: str, n_training: int = 40) -> Data:
    """Data sets of a task: for training from one set of chains, for validation from another."""
    made = closed if task == "regression" else opened
    parts = [[made(1, n=n_training)], [made(2, n=12)]]
    return Data(*(dataset(task, part) for part in parts))


def save(folder: Path, ensembles: dict[str, Ensemble]) -> dict[str, Path]:
    """Ensemble files by name."""
    paths = {name: folder / f"{name}.h5" for name in ensembles}
    for name, ensemble in ensembles.items():
        save_ensemble(paths[name], ensemble)
    return paths


def arrays(ensemble: Ensemble) -> dict[str, object]:
    """The content of an ensemble, with arrays as bytes, for comparisons."""

    def plain(value: object) -> object:
        if isinstance(value, dict):
            return {name: plain(item) for name, item in value.items()}
        if hasattr(value, "tobytes"):
            return value.dtype.str, value.shape, value.tobytes()
        if isinstance(value, Sequence) and not isinstance(value, str):
            return [plain(item) for item in value]
        return {name: plain(item) for name, item in vars(value).items()} if hasattr(value, "__dict__") else value

    return {name: plain(value) for name, value in vars(ensemble).items()}
