"""What fluxeq runs on: versions, machine, GPU and caches."""

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
    """Of fluxeq, Python and the packages that numbers depend on."""
    return {
        "fluxeq": __version__,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def machine() -> dict[str, Any]:
    """Its kind."""
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": binding.get_host_cpu_name(),  # the kind that compiled code is made for: others round otherwise
        "processors": os.cpu_count(),
    }


def installation() -> dict[str, Any]:
    """Versions and machine, what of it this process may use, and where compiled code is kept."""
    cache = folder_for("jax")
    room = {"usable": n_processors(), "memory": f"{memory() / GIB:.1f} GiB"}
    return {
        **versions(),
        "machine": {**machine(), **room},
        "disk": f"{shutil.disk_usage(Path.cwd()).free / GIB:.1f} GiB free in this folder",
        "GPU": {"sampling": _found(lambda: recorder("cuda")), "networks": _found(Device("cuda").require)},
        "cache": f"{cache.parent} ({_size(cache.parent) / GIB:.2f} GiB)" if cache else "none: no folder to write to",
    }


def _found(look: Callable[[], Any]) -> str:
    """Whether something is here, or the reason why not."""
    try:
        look()
    except InputError as error:
        return str(error).partition(";")[0]
    return "found"


def _size(folder: Path) -> int:
    """Bytes of all files below; other processes may remove some meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size
    return total
