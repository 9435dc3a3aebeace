"""Functions that Numba compiles once on a machine: its cache, made safe.

Numba's own cache does not notice edits in the files that a function calls, and loses track when processes write to it
at once. Here each state of the sources has a folder of its own, and whoever compiles or loads holds its lock: of
processes that start together one compiles, and the others wait and load. What is loaded is what was compiled.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fluxeq.errors import InputError
from fluxeq.system.cache import folder_for
from fluxeq.system.files import locked


def disk_cached(function: Any, sources: tuple[Path, ...]) -> Callable:
    """The function (a Numba dispatcher) with a cache on disk, for as long as the sources stay as they are.

    The function itself where there is no folder for that, or its file system keeps no locks.
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
    """A function that is compiled, or loaded, for new types of its arguments while others wait."""

    def __init__(self, function: Any, folder: Path) -> None:
        self.function, self._folder = function, folder

    def __call__(self, *given: Any) -> Any:
        """What the function returns."""
        import numba

        types = tuple(map(numba.typeof, given))
        if types not in self.function.signatures:
            with locked(self._folder / "lock"):
                self._compile(types)
        return self.function(*given)

    def _compile(self, types: tuple[Any, ...]) -> None:
        try:
            self.function.compile(types)
        except OSError:  # compiled, but the disk is full
            pass
        except Exception:  # Numba does not say which: its cache is damaged, or the function cannot be compiled
            for path in self._folder.rglob("*.nb[ci]"):
                path.unlink(missing_ok=True)
            self.function.compile(types)


def _cache_in(folder: Path, function: Any) -> None:
    """Turn Numba's cache on for one function; it looks for its folder then, and never again."""
    from numba import config

    before = config.CACHE_DIR  # type: ignore[attr-defined]
    try:
        config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]
        function.enable_caching()
    finally:
        config.CACHE_DIR = before  # type: ignore[attr-defined]
