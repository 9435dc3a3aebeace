"""Compiled functions are kept on disk, so that the same network on the same data is compiled once on a machine.

This is JAX's own cache, in the folder that ``cache.py`` chooses. What is loaded is what was compiled, so results are
the same; entries carry a checksum, and one that is broken is compiled again.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fluxeq.system.cache import folder_for

SECONDS = 0.2
"""What is compiled faster than that is not worth a file."""
LARGEST = 2**29
"""Bytes; when a process starts and finds more, it removes the oldest entries down to half of that."""
STAGES = {
    "/jax/core/compile/backend_compile_duration": "compiling",
    "/jax/core/compile/jaxpr_trace_duration": "tracing",
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "lowering",
}
"""What lies between a function and its machine code, as JAX's monitoring calls it, and what we call it. The first is
also the time to load what was kept."""


def keep_compiled() -> None:
    """Let this process use the cache, from its first compilation on; nothing happens where no folder can be made."""
    folder = folder_for("networks")
    if folder is None:
        return
    import jax

    trim(folder, LARGEST)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", SECONDS)
    jax.config.update("jax_compilation_cache_dir", str(folder))


@contextmanager
def stopwatch() -> Iterator[dict[str, float]]:
    """Seconds that this process spends in each stage of compiling, counted within the block."""
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
    """Remove the oldest files of a folder, down to half of ``largest`` bytes, if it holds more than that."""
    states = ((entry.stat(), Path(entry.path)) for entry in os.scandir(folder))
    entries = sorted((state.st_mtime_ns, state.st_size, path) for state, path in states)
    total = sum(size for _, size, _ in entries)
    if total > largest:
        for _, size, path in entries:
            if total > largest // 2:
                path.unlink(missing_ok=True)  # another process may have done so
                total -= size
