"""Counting of open worms: squared error of their number, accuracy of the rounded number."""

from typing import TYPE_CHECKING

import numpy as np

from fluxeq.tasks.task import Target, Task, squared_error

if TYPE_CHECKING:
    import jax

    from fluxeq.data.ensembles import Ensemble


def number(ensemble: "Ensemble") -> np.ndarray:
    """The number of open worms of each configuration; ``(n, 1)``."""
    return ensemble.n_worms[:, None]


def rounds_to_it(output: "jax.Array", label: "jax.Array") -> "jax.Array":
    """Whether the nearest integer is correct."""
    import jax.numpy as jnp

    return jnp.round(output[0]) == label[0]


COUNTING = Task(
    "counting",
    (Target("n_worms", "extensive"),),
    number,
    squared_error,
    unit="squared error of the number",
    predicts="the number of open worms in a configuration",
    correct=rounds_to_it,
    counts_worms=True,
    least_squares=True,
)
