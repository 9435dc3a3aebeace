"""Short versions of the long checks: the distribution on 2x2, and the textbook algorithm, each with a control."""

import shutil
from unittest import mock

import numpy as np
import pytest

from fluxeq import exact
from fluxeq.sampling import chains
from fluxeq.theory import Theory
from verification import enumeration, field, verdicts
from verification.textbook import COMPILER, Textbook

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors


@pytest.mark.parametrize("is_wrong", [False, True], ids=["exact", "control"])
def test_distribution_on_2x2(monkeypatch, is_wrong):
    """Chi-square of the configurations with up to 6 hops; the control accepts the first hop to a site 5 % too often."""
    monkeypatch.setattr(enumeration, "MOST_HOPS", 6)
    monkeypatch.setattr(enumeration, "N_SAMPLES", 8000)
    enumeration.probabilities.cache_clear()
    tables = enumeration.wrong_tables if is_wrong else chains.tables
    with mock.patch.object(chains, "tables", tables):
        p = enumeration.chi_square(enumeration.probabilities(enumeration.THEORY), enumeration.counts(1))
    enumeration.probabilities.cache_clear()
    assert p < verdicts.CONTROL_P if is_wrong else p > verdicts.SMALLEST_P


@pytest.mark.skipif(shutil.which(COMPILER[0]) is None, reason="there is no C compiler")
def test_textbook():
    """The reference algorithm is itself right, and a wrong mu is detected."""
    theory, shape = Theory(4.01, 1.0, 1.5), (8, 2)
    runs = [Textbook(theory, shape, (1, c)).run(3000, worms=5, sweeps=1, entry=1.0)[0][300:] for c in range(16)]
    n, phi2, _ = np.mean(runs, axis=1).T
    expected = exact.solve(theory, shape)
    assert verdicts.number("textbook", "n", n, expected.n).passed
    assert verdicts.number("textbook", "phi2", phi2, expected.phi2).passed
    wrong = exact.solve(Theory(4.01, 1.0, 1.55), shape)
    assert verdicts.number("textbook", "n", n, wrong.n, is_control=True).passed


def test_field():
    theory, shape = Theory(4.5, 1.0, 0.0), (6, 2)
    values = field.phi2(theory, shape, 16, 1500, seed=1)
    assert verdicts.number("field", "phi2", values, exact.solve(theory, shape).phi2).passed
    wrong = exact.solve(Theory(4.3, 1.0, 0.0), shape)
    assert verdicts.number("field", "phi2", values, wrong.phi2, is_control=True).passed
