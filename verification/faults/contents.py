"""What files say, to compare two folders: numbers exactly, pictures and times not at all."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Contents = dict[str, Any]
"""By path in a folder."""
TIMES = ("log.jsonl", "provenance.json")
"""Files of a run that say when and where it was made; a journal does so too."""
PICTURES = (".png", ".pdf")


def contents(folder: Path) -> Contents:
    """Of every file in a folder and below, by its path there."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".lock"]
    return {str(path.relative_to(folder)): content(path) for path in paths if path.name != ".lock"}


def content(path: Path) -> Any:
    """Something that is equal for two files that say the same."""
    if path.name in TIMES or path.suffix in (*PICTURES, ".log"):
        return "there"
    if path.suffix == ".h5":
        return _arrays(path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def differences(there: Contents, here: Contents) -> Iterator[str]:
    """What says something else here than there, a line each."""
    yield from (
        f"{name} is another" for name in sorted(there.keys() | here.keys()) if there.get(name) != here.get(name)
    )


def _arrays(path: Path) -> Any:
    """All arrays and attributes of an HDF5 file, however they are packed; its bytes if it is none."""
    found: dict[str, Any] = {}

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = _plain(item[()])

    try:
        with h5py.File(path) as file:
            file.visititems(note)
            return {**found, "attributes": {name: _plain(value) for name, value in file.attrs.items()}}
    except Exception:  # damaged in any way
        return hashlib.sha256(path.read_bytes()).hexdigest()


def _plain(value: Any) -> tuple[str, tuple[int, ...], str]:
    array = np.asarray(value)
    return (
        str(array.dtype),
        array.shape,
        hashlib.sha256(array.tobytes() if array.dtype != object else str(value).encode()).hexdigest(),
    )
