"""Open worms in closed ensembles: in the requested numbers, distributed at random, never twice in a configuration."""

import numpy as np
import pytest

import fluxeq
import small_ensembles
from fluxeq import observables
from fluxeq.data.generation import open_worms
from fluxeq.errors import InputError
from fluxeq.theory import Theory

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors

THEORY = Theory(4.01, 1, 1.5)


@pytest.mark.parametrize("numbers", [(0, 1), (0, 1, 3), (2,), (3, 0)])
def test_worms_are_dealt_in_equal_shares(numbers):
    closed = small_ensembles.closed(1)
    opened = open_worms(closed, numbers, seed=5)
    values, counts = np.unique(opened.n_worms, return_counts=True)
    assert sorted(numbers) == values.tolist()
    assert counts.max() - counts.min() <= 1
    np.testing.assert_array_equal(observables.n_worms(opened.configurations), opened.n_worms)
    opened.verify()


def test_every_configuration_is_used_once():
    """Those without a worm are unchanged; the others differ only along their worms, and keep their place."""
    closed, opened = small_ensembles.closed(1), small_ensembles.opened(1, (0, 1))
    np.testing.assert_array_equal(opened.chain, closed.chain)
    np.testing.assert_array_equal(opened.sweep, closed.sweep)
    same = (opened.configurations == closed.configurations).all(axis=(1, 2, 3))
    np.testing.assert_array_equal(same, opened.n_worms == 0)
    changed = (opened.configurations[:, :2] != closed.configurations[:, :2]).sum(axis=(1, 2, 3))
    unrelated = (opened.configurations[:, :2] != np.roll(closed.configurations, 1, axis=0)[:, :2]).sum(axis=(1, 2, 3))
    assert changed.mean() < 0.5 * unrelated.mean()
    assert opened.origin == closed.origin


def test_worms_are_dealt_at_random():
    """Not alternately, which would give every second chain only one kind."""
    n_worms = [open_worms(small_ensembles.closed(1), (0, 1), seed=seed).n_worms for seed in (1, 1, 2)]
    np.testing.assert_array_equal(n_worms[0], n_worms[1])
    assert (n_worms[0] != n_worms[2]).any()
    assert not np.array_equal(n_worms[0], np.resize([0, 1], 40))


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((), "distinct non-negative integers"),
        ((5, 5), "distinct non-negative integers"),
        ((0, -1), "distinct non-negative integers"),
        (range(50), "40 configurations for 50 numbers of worms"),
        ((0, 5), "5 worms on 4x4: .*draw at most 4"),
        ((0, 10**30), r"1000\d* worms on 4x4: .*draw at most 4"),
    ],
)
def test_worms_that_cannot_be(numbers, message):
    with pytest.raises(InputError, match=message):
        open_worms(small_ensembles.closed(1), tuple(numbers), seed=1)


def test_worms_where_there_are_no_hops():
    """They would take forever."""
    vacuum = fluxeq.sample(Theory(1e7, 1, 0), (4, 4), 4, seed=1)
    with pytest.raises(InputError, match=r"eta 10000000\.0, .*: open worms need hops, of which one in 3e\+06 is"):
        open_worms(vacuum, (0, 1), seed=1)
    assert not open_worms(vacuum, (0,), seed=1).n_worms.any()


def test_worms_of_one_configuration():
    lone = fluxeq.sample(THEORY, (4, 2), 1, chains=1, seed=1)
    for number in (0, 2):
        open_worms(lone, (number,), seed=1).verify()
    with pytest.raises(InputError, match="1 configurations for 2 numbers of worms"):
        open_worms(lone, (0, 1), seed=1)
    bond = fluxeq.sample(Theory(3, 1, 0.7), (2,), 4, seed=1)
    with pytest.raises(InputError, match=r"1 worms on 2: .*draw at most 0"):
        open_worms(bond, (1,), seed=1)


def test_worms_are_not_opened_twice():
    with pytest.raises(InputError, match="already has open worms"):
        open_worms(small_ensembles.opened(1), (0, 1), seed=1)
