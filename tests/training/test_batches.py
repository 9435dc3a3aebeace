"""Blocks of fixed size for any number of examples, and padded sizes shared by many numbers of examples."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fluxeq.training import batches
from fluxeq.training.batches import in_blocks, room_for, rows_within, vectorised


@pytest.mark.parametrize("n", [1, 5, 12, 13])
def test_blocks_have_one_size_and_their_results_are_those_of_all(n):
    examples, sizes = np.random.default_rng(n).normal(size=(n, 3, 2)), []

    def function(block):
        sizes.append(len(block))
        return block.sum(axis=(1, 2)), {"squares": block**2}

    sums, rest = in_blocks(function, examples, 6)
    assert sizes == [6] * (1 + (n - 1) // 6)
    np.testing.assert_array_equal(sums, examples.sum(axis=(1, 2)))
    np.testing.assert_array_equal(rest["squares"], examples**2)


def test_examples_of_several_arrays_and_results_of_whole_blocks():
    """Rows that pad the last block are zero in all arrays."""
    x, weights = np.arange(10.0).reshape(5, 2), np.ones(5)
    total = in_blocks(lambda block: (block[0] * block[1][:, None]).sum(axis=0)[None], (x + 1, weights), 3)
    np.testing.assert_array_equal(total, [(x[:3] + 1).sum(axis=0), (x[3:] + 1).sum(axis=0)])


def test_rows_within():
    configuration = np.zeros((4, 60, 4), np.int8)
    assert rows_within(2**17, configuration) == 32
    assert rows_within(100, configuration) == 1


@pytest.mark.parametrize(
    ("n", "n_bytes", "room"),
    [(1, 960, 32768), (32768, 960, 32768), (32769, 960, 65536), (3, 2**24, 4), (3, 2**30, 4), (1, 2**30, 1)],
)
def test_room(n, n_bytes, room):
    """60x4 has 960 bytes; if one lattice fills the minimum size, the number is rounded up to a power of two."""
    assert room_for(n, n_bytes) == room


@pytest.mark.parametrize(("n_bytes", "n_batches"), [(1, 12), (239, 4), (240, 3), (719, 2), (720, None)])
def test_arrays_fit_the_caches(monkeypatch, n_bytes, n_batches):
    """The largest array of one of twelve examples has 60 bytes; batches are equal, and need no loop if they are one."""
    monkeypatch.setattr(batches, "CACHE_BYTES", n_bytes)
    x = np.arange(60, dtype=np.float32).reshape(12, 5)

    def tripled(row):
        return jnp.concatenate([row, row, row]).sum()

    np.testing.assert_array_equal(vectorised(tripled, x), 3 * x.sum(axis=1))
    lengths = [equation.params.get("length") for equation in jax.make_jaxpr(partial(vectorised, tripled))(x).eqns]
    assert [length for length in lengths if length] == [n_batches] * (n_batches is not None)
