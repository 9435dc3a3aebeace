"""What fits into this machine: said beforehand, where a number that was asked for can only end in a full one."""

import os
import shutil
from pathlib import Path

from fluxeq.errors import InputError


def require_memory(what: str, n_bytes: int) -> None:
    """Raise InputError if something takes more than the memory of this machine."""
    if (there := memory()) and n_bytes > there:
        raise InputError(f"{what}: more than the {there / 2**30:.3g} GiB of memory of this machine; choose fewer")


def require_disk(what: str, n_bytes: int, folder: Path) -> None:
    """Raise InputError if something takes more than the whole disk that a folder is on, or will be."""
    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    disk = shutil.disk_usage(existing).total
    if n_bytes > disk:
        raise InputError(f"{what}: more than the {disk / 2**30:.3g} GiB of the disk of {existing}; choose fewer")


def n_processors() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> int:
    """Bytes of memory; 0 where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 0
