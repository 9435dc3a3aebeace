"""Waiting times and the weight of entering, chosen by pilots."""

from functools import partial

import numpy as np
import pytest

from fluxeq import observables
from fluxeq.errors import StabilityError
from fluxeq.sampling import chains, tuning
from fluxeq.theory import Theory

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors

N_THREADS = 2
THEORY, SHAPE = Theory(4.01, 1, 1.05), (4, 2)


def test_tune():
    """Waiting times are positive, those of the seed alone, and those of a longer run."""
    started = chains.start(SHAPE, 4, seed=1)
    lines = []
    thermal, found = tuning.tune(THEORY, started, report=lines.append)
    again, same = tuning.tune(THEORY, started, record=partial(chains.record, n_threads=2))
    assert found == same
    for one, other in zip(thermal, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert found.spacing >= 2 * found.tau_int > 0
    assert (thermal.worms == found.thermalisation).all()
    assert found.thermalisation >= tuning.PILOT_LENGTH
    assert 0.9 < found.entry < 1.1  # g is near 1 here
    assert lines
    assert all(line.startswith("pilot: stride ") for line in lines)


def test_tuned_configurations_are_nearly_independent():
    """At the chosen spacing of 2 tau_int, rho(1) is near e^-2 and below 0.3; after one worm it is near 1."""
    thermal, found = tuning.tune(THEORY, chains.start(SHAPE, 8, seed=1))
    rho = {}
    for spacing in (found.spacing, 1):
        _, run = chains.record(THEORY, thermal, 1000, spacing, n_threads=N_THREADS)
        series = observables.density(run.reshape(-1, 4, *SHAPE)).reshape(8, -1)
        rho[spacing] = np.mean([np.corrcoef(one[:-1], one[1:])[0, 1] for one in series])
    assert rho[found.spacing] < 0.3
    assert rho[1] > 0.8


def test_tune_refuses_an_unstable_theory():
    with pytest.raises(StabilityError):
        tuning.tune(Theory(4.0, 0, 0.5), chains.start(SHAPE, 2, seed=1))
