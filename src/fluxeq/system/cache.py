"""The cache of compiled functions, with a subfolder for each processor type.

The cache is ``$FLUXEQ_CACHE``, by default ``fluxeq`` in the user's cache folder. Code compiled for one processor type
may not run on another. The cache can be deleted at any time.
"""

import hashlib
import os
import platform
from pathlib import Path


def folder_for(kind: str) -> Path | None:
    """The folder for one kind of compiled functions; None if it cannot be created or written to."""
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        chosen = os.environ.get("FLUXEQ_CACHE") or Path(home) / "fluxeq"
        folder = Path(chosen) / hashlib.sha256(_processor().encode()).hexdigest()[:12] / kind
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: the user has no home folder
        return None
    return folder if os.access(folder, os.W_OK) else None


def _processor() -> str:
    """A description of the processor type; equal descriptions can run the same code."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.node()}"
    wanted = ("model name", "flags", "Features", "CPU part")
    return "\n".join(sorted({line for line in lines if line.startswith(wanted)}))
