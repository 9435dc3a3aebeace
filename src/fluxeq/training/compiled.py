"""On-disk cache of compiled functions, so that each is compiled once per machine.

This is JAX's persistent cache, in the folder from ``cache.py``. Results do not depend on it; entries have a checksum,
and damaged ones are compiled again.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fluxeq.system.cache import folder_for

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
