"""Data for searches with synthetic trainings."""

import numpy as np

from fluxeq.tasks.task import TASKS
from fluxeq.training.datasets import Data, Dataset


def _empty(n: int, origin: str) -> Dataset:
    return Dataset(
        TASKS["regression"],
        np.zeros((n, 4, 4, 4), np.int8),
        np.zeros((n, 2), np.float32),
        np.zeros(n, np.int64),
        (origin,),
    )


NO_DATA = Data(_empty(8, "some chains"), _empty(2, "others"))
