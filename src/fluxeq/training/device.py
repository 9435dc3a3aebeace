"""Devices for training: the CPU, one instance after another, or a GPU, all instances together."""

import os
import subprocess
import sys
from dataclasses import dataclass

from fluxeq.errors import InputError

DEVICES = ("cpu", "cuda")


@dataclass(frozen=True)
class Device:
    """A device, by its name in JAX. Raises InputError unless it is "cpu" or "cuda"."""

    name: str = "cpu"

    def __post_init__(self) -> None:
        if self.name not in DEVICES:
            raise InputError(f"device {self.name!r}: choose one of {', '.join(DEVICES)}")

    @classmethod
    def here(cls) -> "Device":
        """The device of this process."""
        import jax

        return cls("cuda" if jax.default_backend() == "gpu" else "cpu")

    @property
    def together(self) -> bool:
        """Whether training instances together is faster."""
        return self.name == "cuda"

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables of a process on the device: no preallocation of GPU memory."""
        if self.name == "cpu":
            return {}
        return {"JAX_PLATFORMS": "cuda,cpu", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}

    def require(self) -> None:
        """Raise InputError if the device is unavailable; a separate process checks, since that occupies the GPU."""
        if self.name == "cuda":
            command = [sys.executable, "-c", "import jax; jax.devices('cuda')"]
            if subprocess.run(command, env={**os.environ, **self.environment}, capture_output=True).returncode != 0:
                raise self._missing()

    def use(self) -> None:
        """Use the device in this process from now on. Raises InputError if it is unavailable."""
        if self.name == "cuda":
            os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        import jax

        jax.config.update("jax_platforms", self.environment.get("JAX_PLATFORMS", self.name))
        try:
            jax.devices(self.name)
        except RuntimeError:
            jax.config.update("jax_platforms", "cpu")
            raise self._missing() from None

    def _missing(self) -> InputError:
        way_out = "install jax[cuda13] if there is one, or leave out --device"
        return InputError(f"device {self.name!r}: JAX finds no GPU here; {way_out}")


CPU = Device()
