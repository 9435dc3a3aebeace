"""Compiled functions are kept on disk, so that the same network on the same data is compiled once on a machine.

This is JAX's own cache, in ``$FLUXEQ_CACHE``, else in ``fluxeq`` in the user's cache folder, with a folder for each
kind of processor, since code for one need not run on another. What is loaded is what was compiled, so results are the
same; entries carry a checksum, and one that is broken is compiled again. Removing it all costs only time.
"""

import hashlib
import os
import platform
from pathlib import Path

SECONDS = 0.2
"""What is compiled faster than that is not worth a file."""
LARGEST = 2**29
"""Bytes; when a process starts and finds more, it removes the oldest entries down to half of that."""


def keep_compiled() -> None:
    """Let this process use the cache, from its first compilation on; nothing happens where no folder can be made."""
    folder = _folder()
    if not _usable(folder):
        return
    import jax

    trim(folder, LARGEST)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", SECONDS)
    jax.config.update("jax_compilation_cache_dir", str(folder))


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


def _folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    chosen = os.environ.get("FLUXEQ_CACHE") or Path(home) / "fluxeq"
    return Path(chosen) / hashlib.sha256(_processor().encode()).hexdigest()[:12]


def _processor() -> str:
    """What tells processors that run the same code from others."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.node()}"
    wanted = ("model name", "flags", "Features", "CPU part")
    return "\n".join(sorted({line for line in lines if line.startswith(wanted)}))


def _usable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)
