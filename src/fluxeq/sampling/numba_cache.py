"""A safe on-disk cache of Numba functions, so that each is compiled once per machine.

Numba's own cache misses edits in other source files and fails if several processes write to it. Here each version of
the sources has its own folder, and a process that compiles or loads holds its lock: if several processes start
together, one compiles, and the others wait and load.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fluxeq.errors import InputError
from fluxeq.system.cache import folder_for
from fluxeq.system.files import locked


def disk_cached(function: Any, sources: tuple[Path, ...]) -> Callable:
    """The function (a Numba dispatcher) with an on-disk cache for the current version of the sources.

    Returns the function itself if there is no cache folder, or its file system does not support locks.
    """
    folder = folder_for("moves")
    if folder is None:
        return function
    folder /= hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    try:
        folder.mkdir(exist_ok=True)
        with locked(folder / "lock"):
            _cache_in(folder, function)
    except (OSError, InputError):
        return function
    return DiskCached(function, folder)


class DiskCached:
    """A function that is compiled or loaded for new argument types under a lock."""

    def __init__(self, function: Any, folder: Path) -> None:
        self.function, self._folder = function, folder

    def __call__(self, *given: Any) -> Any:
        """Call the function."""
        import numba

        types = tuple(map(numba.typeof, given))
        if types not in self.function.signatures:
            with locked(self._folder / "lock"):
                self._compile(types)
        return self.function(*given)

    def _compile(self, types: tuple[Any, ...]) -> None:
        try:
            self.function.compile(types)
        except OSError:  # compiled, but not stored: full disk
            pass
        except Exception:  # Numba does not distinguish a damaged cache from a compilation error
            for path in self._folder.rglob("*.nb[ci]"):
                path.unlink(missing_ok=True)
            self.function.compile(types)


def _cache_in(folder: Path, function: Any) -> None:
    """Enable Numba's cache for a function, which determines the folder only then."""
    from numba import config

    before = config.CACHE_DIR  # type: ignore[attr-defined]
    try:
        config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]
        function.enable_caching()
    finally:
        config.CACHE_DIR = before  # type: ignore[attr-defined]
