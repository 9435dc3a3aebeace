"""Information on the installation: versions, machine, GPU and caches."""

import os
import platform
import shutil
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from llvmlite import binding

from fluxeq import __version__
from fluxeq.errors import InputError
from fluxeq.sampling.devices import recorder
from fluxeq.system.cache import folder_for
from fluxeq.system.capacity import memory, n_processors
from fluxeq.training.device import Device

PACKAGES = ("numpy", "numba", "jax", "jaxlib", "equinox", "optax", "optuna", "pyerrors", "h5py", "safetensors")
GIB = 2**30


def versions() -> dict[str, Any]:
    """Versions of fluxeq, Python and packages that affect results."""
    return {
        "fluxeq": __version__,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def machine() -> dict[str, Any]:
    """The type of machine."""
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": binding.get_host_cpu_name(),  # the target of compiled code, which affects rounding
        "processors": os.cpu_count(),
    }


def installation() -> dict[str, Any]:
    """Versions, machine, resources available to this process, and the cache of compiled code."""
    cache = folder_for("jax")
    room = {"usable": n_processors(), "memory": f"{memory() / GIB:.1f} GiB"}
    return {
        **versions(),
        "machine": {**machine(), **room},
        "disk": f"{shutil.disk_usage(Path.cwd()).free / GIB:.1f} GiB free in this folder",
        "GPU": {"sampling": _found(lambda: recorder("cuda")), "networks": _found(Device("cuda").require)},
        "cache": f"{cache.parent} ({_size(cache.parent) / GIB:.2f} GiB)" if cache else "none: no writable folder",
    }


def _found(look: Callable[[], Any]) -> str:
    """The result of a check, or the reason for its failure."""
    try:
        look()
    except InputError as error:
        return str(error).partition(";")[0]
    return "found"


def _size(folder: Path) -> int:
    """Total size in bytes of all files in a folder; other processes may remove some meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size
    return total
