"""Safetensors files with a description and checksums in the header.

The header's entry ``fluxeq`` describes the tensors as JSON, with two checksums: ``tensors`` of their names, types,
shapes and values, and one of the entry itself, so that the description can be verified without reading the whole file.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from fluxeq.system.files import DamagedError, atomic_write, verified, with_checksum

Tensors = Mapping[str, np.ndarray]
About = dict[str, Any]


def named_arrays(tree: Any) -> dict[str, np.ndarray]:
    """All leaves of a tree of arrays by their position in it."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path).lstrip("."): np.asarray(leaf) for path, leaf in leaves}


def with_arrays(tree: Any, named: Tensors) -> Any:
    """The tree with the arrays of these names instead of its own."""
    return jax.tree.unflatten(jax.tree.structure(tree), [jnp.asarray(named[name]) for name in named_arrays(tree)])


def save_tensors(path: Path, tensors: Tensors, about: About) -> None:
    """Write a file, atomically."""
    arrays = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    header = json.dumps(with_checksum({**about, "tensors": _sha256(arrays)}))  # one entry: their order is random
    # not save_file, which would leave its own temporary file after a kill
    with atomic_write(path) as temporary:
        temporary.write_bytes(save(arrays, metadata={"fluxeq": header}))


def read_about(path: Path) -> About:
    """The description in a file. Raises DamagedError if its checksum does not match."""
    return _header(path)[0]


def read_tensors(path: Path) -> tuple[About, dict[str, np.ndarray]]:
    """The description and the tensors in a file. Raises DamagedError if a checksum does not match."""
    about, expected = _header(path)
    try:
        with safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dictionary
    except (SafetensorError, TypeError, ValueError) as error:
        raise DamagedError(str(error)) from None
    if _sha256(tensors) != expected:
        raise DamagedError("checksum mismatch: its tensors are damaged")
    return about, tensors


def _header(path: Path) -> tuple[About, str]:
    """The description in a file, and the checksum of the tensors."""
    try:
        with safe_open(path, framework="numpy") as file:
            about = verified(json.loads((file.metadata() or {})["fluxeq"]))
            return about, about.pop("tensors")
    except KeyError as error:
        raise DamagedError(f"no {error} in its header") from None
    except (SafetensorError, ValueError, RecursionError) as error:
        raise DamagedError(str(error)) from None


def _sha256(tensors: Tensors) -> str:
    found = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        found.update(json.dumps([name, tensor.dtype.str, tensor.shape]).encode())
        found.update(tensor.tobytes())
    return found.hexdigest()
