"""Safetensors files that say what they hold, and whether they are damaged.

The header's entry ``fluxeq`` says as JSON what the tensors are, with two digests: ``tensors`` of their names, types,
shapes and numbers, and that of the entry itself, which can so be trusted before all of the file is read.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from fluxeq.system.files import DamagedError, sealed, unsealed, whole

Tensors = Mapping[str, np.ndarray]
About = dict[str, Any]


def save_tensors(path: Path, tensors: Tensors, about: About) -> None:
    """Write one file, which is whole or not there."""
    arrays = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    header = json.dumps(sealed({**about, "tensors": _sha256(arrays)}))  # one entry: their order is random
    # not save_file, whose own temporary file a kill would leave behind
    with whole(path) as temporary:
        temporary.write_bytes(save(arrays, metadata={"fluxeq": header}))


def read_about(path: Path) -> About:
    """What a file says of its tensors. Raises DamagedError unless that is what was written."""
    return _header(path)[0]


def read_tensors(path: Path) -> tuple[About, dict[str, np.ndarray]]:
    """What a file says of its tensors, and these. Raises DamagedError unless both are what was written."""
    about, expected = _header(path)
    try:
        with safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dictionary
    except (SafetensorError, TypeError, ValueError) as error:
        raise DamagedError(str(error)) from None
    if _sha256(tensors) != expected:
        raise DamagedError("damaged: its tensors have another digest")
    return about, tensors


def _header(path: Path) -> tuple[About, str]:
    """What a file says of its tensors, and their digest."""
    try:
        with safe_open(path, framework="numpy") as file:
            about = unsealed(json.loads((file.metadata() or {})["fluxeq"]))
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
