"""Fast compilation, and an on-disk cache of compiled functions, so that each is compiled once per machine.

The latter is JAX's persistent cache, in the folder from ``cache.py``. Results do not depend on it; entries have a
checksum, and damaged ones are compiled again.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from pathlib import Path
from typing import Any

from fluxeq.system.cache import folder_for

FAST_TO_COMPILE = {"xla_cpu_use_fusion_emitters": False}
"""XLA options with which a forward pass or a Jacobian compiles in about half the time and is equally fast; a training
step takes up to 45 % longer."""
SECONDS = 0.1
"""Minimum compilation time for an entry."""
LARGEST = 2**29
"""Maximum size in bytes; if it is exceeded when a process starts, the oldest entries are removed down to half."""
STAGES = {
    "/jax/core/compile/backend_compile_duration": "compiling",
    "/jax/core/compile/jaxpr_trace_duration": "tracing",
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "lowering",
}
"""Stages of compilation: JAX's monitoring events and our names. The first includes the time to load cached entries."""


def compiled_fast(function: Callable[..., Any], jit: Any = None) -> Callable[..., Any]:
    """A function compiled by ``jax.jit``, or by another ``jit``, with ``FAST_TO_COMPILE``.

    For functions that run for not much longer than they compile, and not for use in other compiled functions.
    """

    @cache
    def compiled() -> Callable[..., Any]:
        import jax

        made: Callable[..., Any] = (jit or jax.jit)(function, compiler_options=known(**FAST_TO_COMPILE))
        return made

    return wraps(function)(lambda *args: compiled()(*args))


@cache
def known(**options: bool) -> dict[str, bool]:
    """The options if this version of XLA has all of them, otherwise none."""
    import jax

    try:
        jax.jit(lambda: 0, compiler_options=options)()
    except jax.errors.JaxRuntimeError:
        return {}
    return options


def keep_compiled() -> None:
    """Enable the cache for this process, before its first compilation; no effect if the folder cannot be created."""
    folder = folder_for("networks")
    if folder is None:
        return
    import jax

    trim(folder, LARGEST)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", SECONDS)
    jax.config.update("jax_compilation_cache_dir", str(folder))


@contextmanager
def stopwatch() -> Iterator[dict[str, float]]:
    """Measure the seconds spent in each stage of compilation within the block."""
    import jax.monitoring

    seconds = dict.fromkeys(STAGES.values(), 0.0)

    def note(event: str, duration_secs: float, **kwargs: str | int) -> None:
        if event in STAGES:
            seconds[STAGES[event]] += duration_secs

    jax.monitoring.register_event_duration_secs_listener(note)
    try:
        yield seconds
    finally:
        jax.monitoring.unregister_event_duration_listener(note)


def trim(folder: Path, largest: int) -> None:
    """Remove the oldest files of a folder, down to half of ``largest`` bytes, if its size exceeds ``largest``."""
    states = ((entry.stat(), Path(entry.path)) for entry in os.scandir(folder))
    entries = sorted((state.st_mtime_ns, state.st_size, path) for state, path in states)
    total = sum(size for _, size, _ in entries)
    if total > largest:
        for _, size, path in entries:
            if total > largest // 2:
                path.unlink(missing_ok=True)  # another process may have removed it
                total -= size
