"""Where compiled functions are kept from one process to the next: a folder of the user's, for each kind of processor.

``$FLUXEQ_CACHE``, else ``fluxeq`` in the user's cache folder. Code for one kind of processor need not run on another.
Removing it all costs only time.
"""

import hashlib
import os
import platform
from pathlib import Path


def folder_for(kind: str) -> Path | None:
    """The folder for one kind of compiled functions; None where it cannot be made or written to."""
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        chosen = os.environ.get("FLUXEQ_CACHE") or Path(home) / "fluxeq"
        folder = Path(chosen) / hashlib.sha256(_processor().encode()).hexdigest()[:12] / kind
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # the latter from a user without a home
        return None
    return folder if os.access(folder, os.W_OK) else None


def _processor() -> str:
    """What tells processors that run the same code from others."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.node()}"
    wanted = ("model name", "flags", "Features", "CPU part")
    return "\n".join(sorted({line for line in lines if line.startswith(wanted)}))
