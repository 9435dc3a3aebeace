"""Memory, disk and processors of this machine, and early checks of requests that exceed them."""

import ctypes
import os
import shutil
from pathlib import Path

from fluxeq.errors import InputError


def require_memory(what: str, n_bytes: int) -> None:
    """Raise InputError if ``n_bytes`` exceeds the memory of this machine."""
    if (there := memory()) and n_bytes > there:
        raise InputError(f"{what}: more than the {there / 2**30:.3g} GiB of memory of this machine; choose fewer")


def require_disk(what: str, n_bytes: int, folder: Path) -> None:
    """Raise InputError if ``n_bytes`` exceeds the size of the disk of a folder, which need not exist yet."""
    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    disk = shutil.disk_usage(existing).total
    if n_bytes > disk:
        raise InputError(f"{what}: more than the {disk / 2**30:.3g} GiB of the disk of {existing}; choose fewer")


def n_processors() -> int:
    """Number of processors available to this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> int:
    """Memory in bytes; 0 if the system does not report it."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 0


def release_memory() -> None:
    """Return freed memory to the system, where the C library can; after compiling it keeps hundreds of MiB."""
    if trim := getattr(ctypes.pythonapi, "malloc_trim", None):
        trim(0)
