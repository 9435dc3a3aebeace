"""Where networks learn: on the CPU, one instance after another, or on a GPU, all instances together."""

import os
import subprocess
import sys
from dataclasses import dataclass

from fluxeq.errors import InputError

DEVICES = ("cpu", "cuda")


@dataclass(frozen=True)
class Device:
    """A device by JAX's name for it. Raises InputError for any but "cpu" and "cuda"."""

    name: str = "cpu"

    def __post_init__(self) -> None:
        if self.name not in DEVICES:
            raise InputError(f"device {self.name!r}: choose one of {', '.join(DEVICES)}")

    @classmethod
    def here(cls) -> "Device":
        """The one that this process computes on."""
        import jax

        return cls("cuda" if jax.default_backend() == "gpu" else "cpu")

    @property
    def together(self) -> bool:
        """Whether instances are faster together than one after another."""
        return self.name == "cuda"

    @property
    def environment(self) -> dict[str, str]:
        """Of a process that computes there: it takes of a GPU the memory that it needs, and leaves the rest."""
        if self.name == "cpu":
            return {}
        return {"JAX_PLATFORMS": "cuda,cpu", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}

    def require(self) -> None:
        """Raise InputError if it is not here. A process of its own looks, since who looks holds the GPU."""
        if self.name == "cuda":
            command = [sys.executable, "-c", "import jax; jax.devices('cuda')"]
            if subprocess.run(command, env={**os.environ, **self.environment}, capture_output=True).returncode != 0:
                raise self._missing()

    def use(self) -> None:
        """Let this process compute there from now on. Raises InputError if it is not here."""
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
        way_out = "install jax[cuda13] where there is one, or leave --device out"
        return InputError(f"device {self.name!r}: JAX finds no GPU here; {way_out}")


CPU = Device()
