"""The moves and what runs them, bound to a compiler: one source, every back end.

``reference()`` is the functions as they stand, in plain Python; ``cpu()`` is the same ones compiled by Numba without
the global lock, once on a machine (``numba_cache``).
"""

import inspect
from collections import ChainMap
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FunctionType, SimpleNamespace

import numpy as np

from fluxeq.sampling import drivers, moves, packed_counts, random_numbers
from fluxeq.sampling.numba_cache import disk_cached

MODULES = (random_numbers, packed_counts, moves, drivers)
"""What is compiled in one namespace; each imports from those before it only."""

CALLED = ("record", "correlate", "add_worms", "store_fluxes")
"""What is called from Python, and holds all other moves when it is compiled. No other may be: it would crash."""


@cache
def reference() -> SimpleNamespace:
    """The moves in plain Python; the random numbers wrap on purpose, which NumPy would warn about."""
    return bind(np.errstate(over="ignore"))


@cache
def cpu() -> SimpleNamespace:
    """The moves in ``CALLED``, compiled for this processor; they release the global lock, so chains run in threads."""
    import numba

    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]  # NUMBA_DISABLE_JIT, for debugging
        return reference()
    # No move allocates, so Numba need not count references to arrays; that, and the calls between such small functions,
    # would take most of the time. Ways into a function from Python take half of the time to compile it.
    called = numba.njit(nogil=True, forceinline=True, _nrt=False)  # type: ignore[call-overload]
    held = numba.njit(  # type: ignore[call-overload]
        nogil=True, forceinline=True, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True
    )
    found = bind(lambda function: (called if function.__name__ in CALLED else held)(function))
    sources = tuple(Path(str(module.__file__)) for module in MODULES)
    return SimpleNamespace(**{name: disk_cached(getattr(found, name), (Path(__file__), *sources)) for name in CALLED})


@cache
def gpu() -> SimpleNamespace:
    """The moves compiled for a CUDA GPU, to be called by ``kernels``, which has what is stored unpacked later."""
    from numba import cuda

    return bind(cuda.jit(device=True), store=drivers.store_words)


def bind(compiled: Callable[[FunctionType], Callable], **chosen: Callable) -> SimpleNamespace:
    """A copy of the moves in which every function is compiled and calls the compiled others; some may be exchanged."""
    namespace = dict(ChainMap(*map(vars, MODULES)))  # the first that has a name is where it is defined
    functions = {name: found for name, found in namespace.items() if inspect.isfunction(found)}
    for name, function in (functions | chosen).items():
        namespace[name] = compiled(FunctionType(function.__code__, namespace, name))
    return SimpleNamespace(**namespace)
