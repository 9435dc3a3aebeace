"""Chains on a GPU: the cases of ``gpu_cases.py`` in Numba's simulator, and where a layout puts the state of a chain."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fluxeq.sampling import kernels

CASES = Path(__file__).with_name("gpu_cases.py")


def test_in_the_simulator():
    """Numba chooses between simulator and GPU when it is imported, so this is another process."""
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(CASES)]
    done = subprocess.run(command, env=environment, cwd=CASES.parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


@pytest.mark.parametrize(
    ("shape", "n_powers", "is_shared", "n_threads", "n_bytes"),
    [
        ((60, 4), 33, True, 31, 1),  # 1200 bytes a chain: 31 of them and the steps, five times on a processor
        ((8, 8), 65, True, 32, 1),
        ((8, 8), 129, False, 32, 2),  # f may grow beyond 254
        ((100, 5), 33, False, 32, 1),  # too few of them would fit
        ((2, 2, 2, 2), 33, True, 32, 1),
    ],
)
def test_layout(shape, n_powers, is_shared, n_threads, n_bytes):
    found = kernels.layout(shape, n_powers)
    assert (found.is_shared, found.n_threads, np.dtype(found.count_type).itemsize) == (is_shared, n_threads, n_bytes)


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_shared_memory_is_enough(d):
    """No layout asks a block for more than there is, or has places that its integers cannot name."""
    n_shared = 0
    for n_sites in range(2, 2000):
        found = kernels.layout((n_sites, *(1,) * (d - 1)), kernels.LONGEST_NARROW)
        if found.is_shared:
            n_shared += 1
            assert kernels.n_shared(n_sites, d, found.n_threads) >= kernels.FEWEST_SHARED
            assert n_sites * (16 * d + found.n_threads * (2 * d + 1)) <= kernels.SHARED_BYTES
            assert 2 * d * n_sites <= np.iinfo(found.place_type).max
    assert 0 < n_shared < 1998


def test_one_byte_is_enough():
    """With the longest tables that use it, for f / 2 of a site, and for a link with all hops of its site."""
    assert np.iinfo(np.uint8).max >= 2 * kernels.LONGEST_NARROW
