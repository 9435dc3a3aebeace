"""Where networks learn: on the CPU, one instance after another, or on a GPU, all instances together."""

import os
import subprocess
import sys

from fluxeq.errors import InputError

DEVICES = ("cpu", "cuda")
ON_GPU = {"JAX_PLATFORMS": "cuda,cpu", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
"""Environment of a process that holds the GPU: it takes the memory that it needs, and leaves the rest to others."""


def require_device(name: str) -> None:
    """Raise InputError for a device that is not here. A process of its own looks, since who looks holds the GPU."""
    _require_known(name)
    if name == "cuda":
        command = [sys.executable, "-c", "import jax; jax.devices('cuda')"]
        if subprocess.run(command, env={**os.environ, **ON_GPU}, capture_output=True).returncode != 0:
            raise _missing(name)


def use_device(name: str) -> None:
    """Let this process compute there from now on. Raises InputError for a device that is not here."""
    _require_known(name)
    if name == "cuda":
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", ON_GPU["XLA_PYTHON_CLIENT_PREALLOCATE"])
    import jax

    jax.config.update("jax_platforms", ON_GPU["JAX_PLATFORMS"] if name == "cuda" else name)
    try:
        jax.devices(name)
    except RuntimeError:
        jax.config.update("jax_platforms", "cpu")
        raise _missing(name) from None


def on_gpu() -> bool:
    """Whether this process computes on a GPU."""
    import jax

    return jax.default_backend() == "gpu"


def _require_known(name: str) -> None:
    if name not in DEVICES:
        raise InputError(f"device {name!r}: choose one of {', '.join(DEVICES)}")


def _missing(name: str) -> InputError:
    return InputError(
        f"device {name!r}: JAX finds no GPU here; install jax[cuda13] where there is one, or leave --device out"
    )
