"""Neighbours against coordinates stepped one by one; invalid shapes are refused."""

import numpy as np
import pytest

from fluxeq.errors import InputError
from fluxeq.lattice import neighbours, require_shape


@pytest.mark.parametrize("shape", [(2,), (5,), (4, 2), (3, 5), (2, 3, 4)])
def test_neighbours(shape):
    d = len(shape)
    table = neighbours(shape)
    assert table.shape == (2 * d, np.prod(shape))
    for number, site in enumerate(np.ndindex(*shape)):
        for direction in range(2 * d):
            there = list(site)
            there[direction % d] += 1 if direction < d else -1
            assert table[direction, number] == np.ravel_multi_index(there, shape, mode="wrap")


@pytest.mark.parametrize("shape", [(), (1,), (4, 1), (0, 3), (-2, 4), (2.0, 2), (True, 2), "42"])
def test_impossible_shapes(shape):
    with pytest.raises(InputError, match="every extent must be an integer of at least 2"):
        require_shape(shape)


def test_smallest_shape():
    require_shape((2, 2))
    require_shape((np.int64(2), 2))
    require_shape((2,) * 31)


@pytest.mark.parametrize("shape", [(2,) * 32, (10**5, 10**5), (10**30, 2)])
def test_shapes_beyond_what_is_counted(shape):
    with pytest.raises(InputError, match="choose smaller extents, of at most 2147483648 sites together"):
        require_shape(shape)
