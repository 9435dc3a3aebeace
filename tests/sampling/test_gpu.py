"""Chains on a GPU: the cases of ``gpu_cases.py`` in Numba's simulator, and the memory layout of the states."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fluxeq.sampling import kernels

CASES = Path(__file__).with_name("gpu_cases.py")


def test_in_the_simulator():
    """Numba selects simulator or GPU on import, hence the separate process."""
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(CASES)]
    done = subprocess.run(command, env=environment, cwd=CASES.parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


@pytest.mark.parametrize(
    ("shape", "is_shared", "n_threads", "n_words"),
    [
        ((60, 4), True, 21, 240),  # 1920 bytes a chain: 21 of them and the steps fit, five times per multiprocessor
        ((8, 8), True, 31, 64),
        ((100, 5), False, 32, 500),  # too few of them would fit
        ((2, 2, 2, 2), True, 32, 32),
    ],
)
def test_layout(shape, is_shared, n_threads, n_words):
    found = kernels.layout(shape)
    assert (found.is_shared, found.n_threads, found.n_sites * found.n_words) == (is_shared, n_threads, n_words)


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_shared_memory_is_enough(d):
    """No layout exceeds the shared memory of a block, or has more sites than its integers can number."""
    n_shared = 0
    for n_sites in range(2, 2000):
        found = kernels.layout((n_sites, *(1,) * (d - 1)))
        if found.is_shared:
            n_shared += 1
            assert kernels.n_shared(n_sites, d, found.n_threads) >= kernels.FEWEST_SHARED
            assert n_sites * (8 * d + found.n_threads * 8 * found.n_words) <= kernels.SHARED_BYTES
            assert n_sites <= np.iinfo(np.uint16).max
    assert 0 < n_shared < 1998
