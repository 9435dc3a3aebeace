"""Regression of observables of closed configurations, such as (n, |phi|^2), with the mean squared error."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fluxeq.tasks.task import Target, Task, squared_error

if TYPE_CHECKING:
    from fluxeq.data.ensembles import Ensemble


def regression(name: str, observables: Sequence[str | Target]) -> Task:
    """The task of predicting observables, by name in ``fluxeq.observables``; densities unless given as targets."""
    targets = tuple(each if isinstance(each, Target) else Target(each) for each in observables)

    def labels(ensemble: "Ensemble") -> np.ndarray:
        return np.stack([ensemble.observable(target.name) for target in targets], axis=1)

    words = " and ".join(target.name for target in targets)
    return Task(
        name,
        targets,
        labels,
        squared_error,
        unit=f"mean squared error of {words}, lattice units",
        predicts=f"{words} of a configuration",
        least_squares=True,
    )


REGRESSION = regression("regression", ("n", "phi2"))
