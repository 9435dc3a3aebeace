"""The textbook algorithm in C, compiled on first use, behind a class for one chain."""

import ctypes
import math
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from fluxeq.errors import InputError
from fluxeq.lattice import neighbours
from fluxeq.theory import Theory, weight_ratio

LARGEST_F = 1000
COMPILER = ("cc", "-O3", "-march=native", "-shared", "-fPIC")


@cache
def library() -> ctypes.CDLL:
    """The compiled algorithm. Raises InputError where there is no C compiler."""
    if shutil.which(COMPILER[0]) is None:
        raise InputError("no C compiler 'cc' was found: install one (Debian's package gcc)")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "textbook.so"
        source = Path(__file__).with_suffix(".c")
        subprocess.run([*COMPILER, "-o", str(target), str(source), "-lm"], check=True)
        loaded = ctypes.CDLL(str(target))
    loaded.textbook.restype = ctypes.c_int64
    return loaded


class Textbook:
    """One chain, started from an empty lattice."""

    def __init__(self, theory: Theory, shape: Sequence[int], seed: Sequence[int]) -> None:
        self.d, self.n_sites, self.mu = len(shape), math.prod(shape), theory.mu
        self.neighbours = neighbours(shape).astype(np.int32)
        self.k, self.l = (np.zeros(self.d * self.n_sites, np.int16) for _ in range(2))
        self.f = np.zeros(self.n_sites, np.int32)
        self.rng = np.random.SeedSequence(seed).generate_state(4, np.uint64)
        self.ratio = weight_ratio(theory, LARGEST_F)
        self.inverse = 1 / self.ratio
        self.extent = shape[0]

    def run(self, steps: int, *, worms: int, sweeps: int, entry: float) -> tuple[np.ndarray, int]:
        """n, |phi|^2 and the mean of l after each step, ``(steps, 3)``, and the number of moves of the head."""
        series = np.empty((steps, 3))
        arrays = (self.neighbours, self.k, self.l, self.f, self.rng, self.ratio, self.inverse)
        moves = library().textbook(
            self.d,
            self.n_sites,
            *(array.ctypes.data_as(ctypes.c_void_p) for array in arrays),
            LARGEST_F,
            ctypes.c_double(self.mu),
            ctypes.c_double(entry),
            worms,
            sweeps,
            ctypes.c_int64(steps),
            series.ctypes.data_as(ctypes.c_void_p),
        )
        if moves < 0:
            raise InputError(f"f grew beyond {LARGEST_F}: choose a smaller mu or larger eta or lam")
        series[:, 0] /= self.n_sites
        return series, moves
