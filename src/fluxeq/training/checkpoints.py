"""Trainings on their way in files: one that was killed goes on, and ends with the same weights bit for bit.

A safetensors file beside the model to be. Its tensors are the state (weights, optimizer, best weights, random key), the
losses so far, and the parameters and damping of the polish in float64: all that is needed to go on, on any device and
in any group of instances. The header's entry ``fluxeq`` says which training it is of. Short trainings never write one.
"""

import json
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from fluxeq.errors import InputError
from fluxeq.files import whole
from fluxeq.training.fit import State, Training
from fluxeq.training.polish import Fit

SECONDS = 30.0
"""Time between two checkpoints of a training: what a kill can cost."""
FORMAT_VERSION = 1


class Checkpoint:
    """The checkpoint of one training, which the identity names: equal for equal settings, data and seed."""

    def __init__(self, path: Path, identity: str) -> None:
        self.path, self._identity, self._written = path, identity, time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time to write one."""
        return time.monotonic() - self._written >= SECONDS

    def write(self, training: Training) -> None:
        """Replace the file by this point of the training."""
        header = {"format_version": FORMAT_VERSION, "identity": self._identity, "n_polished": training.n_polished}
        tensors = _named(training.state) | {"losses": np.array(training.losses, dtype=np.float64)}
        if training.polish is not None:
            tensors |= {"polish.parameters": training.polish.parameters, "polish.damping": _float64(training.polish)}
        # not save_file, whose own temporary file a kill would leave behind
        with whole(self.path) as temporary:
            temporary.write_bytes(save(tensors, metadata={"fluxeq": json.dumps(header)}))
        self._written = time.monotonic()

    def read(self, begun: Training) -> Training:
        """The training in the file; the one that has just ``begun`` if there is none. The clock starts now.

        Raises InputError if the file is of another training.
        """
        self.require_same()
        self._written = time.monotonic()
        if not self.path.exists():
            return begun
        with safe_open(self.path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dictionary
        polish = None
        if "polish.parameters" in tensors:  # what it knows of the network near them is found again
            polish = Fit(tensors["polish.parameters"], float(tensors["polish.damping"]))
        losses = tuple((float(training), float(validation)) for training, validation in tensors["losses"])
        return Training(_state(tensors, begun.state), losses, self._header()["n_polished"], polish)

    def require_same(self) -> None:
        """Raise InputError if there is a file that is not of this training."""
        if self.path.exists():
            header = self._header()
            if (header.get("format_version"), header.get("identity")) != (FORMAT_VERSION, self._identity):
                raise InputError(
                    f"{self.path}: a training with other settings was stopped here; remove it or choose another output"
                )

    def remove(self) -> None:
        """Remove the file, if there is one."""
        self.path.unlink(missing_ok=True)

    def _header(self) -> dict[str, Any]:
        try:
            with safe_open(self.path, framework="numpy") as file:
                return json.loads((file.metadata() or {}).get("fluxeq", "{}"))
        except (SafetensorError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"{self.path}: not a checkpoint of fluxeq ({reason}); remove it") from None


def _named(state: State) -> dict[str, np.ndarray]:
    """The arrays of a state by their place in it; the key as its data."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state._replace(key=jax.random.key_data(state.key)))
    return {jax.tree_util.keystr(path).lstrip("."): np.asarray(leaf) for path, leaf in leaves}


def _state(tensors: dict[str, np.ndarray], like: State) -> State:
    """The state that these arrays are of, which is built like the other one."""
    found = [jnp.asarray(tensors[name]) for name in _named(like)]
    state = jax.tree.unflatten(jax.tree.structure(like), found)
    return state._replace(key=jax.random.wrap_key_data(state.key))


def _float64(fit: Fit) -> np.ndarray:
    return np.array(fit.damping, dtype=np.float64)
