"""Back ends: moves and drivers, from one source, bound to a compiler.

``reference()`` returns the functions in plain Python; ``cpu()`` the same functions compiled by Numba without the global
lock, once per machine (``numba_cache``).
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
"""Modules compiled in one namespace; each imports only from those before it."""

ENTRY_POINTS = ("record", "correlate", "add_worms", "store_fluxes")
"""Functions that are called from Python, with all others inlined. Calling others from Python would crash."""


@cache
def reference() -> SimpleNamespace:
    """The moves in plain Python; NumPy's warnings about the intended overflow of random numbers are disabled."""
    return bind(np.errstate(over="ignore"))


@cache
def cpu() -> SimpleNamespace:
    """The moves in ``ENTRY_POINTS``, compiled for this processor; they release the global lock for threads."""
    import numba

    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]  # NUMBA_DISABLE_JIT, for debugging
        return reference()
    # No move allocates, so Numba need not count references to arrays, which together with calls between such small
    # functions would take most of the time. Python wrappers of a function take half of its compilation time.
    called = numba.njit(nogil=True, forceinline=True, _nrt=False)  # type: ignore[call-overload]
    held = numba.njit(  # type: ignore[call-overload]
        nogil=True, forceinline=True, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True
    )
    found = bind(lambda function: (called if function.__name__ in ENTRY_POINTS else held)(function))
    sources = tuple(Path(str(module.__file__)) for module in MODULES)
    return SimpleNamespace(
        **{name: disk_cached(getattr(found, name), (Path(__file__), *sources)) for name in ENTRY_POINTS}
    )


@cache
def gpu() -> SimpleNamespace:
    """The moves compiled for a CUDA GPU, called by ``kernels``; stored configurations are unpacked later."""
    from numba import cuda

    return bind(cuda.jit(device=True), store=drivers.store_words)


def bind(compiled: Callable[[FunctionType], Callable], **chosen: Callable) -> SimpleNamespace:
    """A copy of the moves in which all functions are compiled and call each other; some may be substituted."""
    namespace = dict(ChainMap(*map(vars, MODULES)))  # the first module with a name is the one that defines it
    functions = {name: found for name, found in namespace.items() if inspect.isfunction(found)}
    for name, function in (functions | chosen).items():
        namespace[name] = compiled(FunctionType(function.__code__, namespace, name))
    return SimpleNamespace(**namespace)
