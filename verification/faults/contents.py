"""What files say, to compare two folders: numbers exactly, pictures and times not at all."""

import hashlib
import json
import re
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
WHEN = re.compile(rb"<th>(first_job_done|last_job_done|seconds_of_\w+)</th>.*?</tr>", re.DOTALL)
"""What a report says of it."""
JOURNAL = b'{"op_code"'


def contents(folder: Path) -> Contents:
    """Of every file in a folder and below, by its path there."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.endswith("lock")]
    return {str(path.relative_to(folder)): content(path) for path in paths}


def content(path: Path) -> Any:
    """Something that is equal for two files that say the same."""
    if path.name in TIMES or path.suffix in PICTURES or _begins_with(path, JOURNAL):
        return "there"
    if path.name == "report.html":
        return _digest(WHEN.sub(b"", path.read_bytes()))
    if path.parent.name == ".jobs":
        return _fingerprint(path)
    if path.suffix == ".h5":
        return _arrays(path)
    if path.suffix == ".csv":
        return tuple(path.read_bytes().splitlines())
    return _digest(path.read_bytes())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _fingerprint(path: Path) -> Any:
    """What a record of a job says of its settings; it may know digests of times."""
    try:
        record = json.loads(path.read_bytes())
        return record["fingerprint"], record["done"]
    except (ValueError, KeyError, TypeError):
        return _digest(path.read_bytes())


def _begins_with(path: Path, start: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(start)) == start


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
        return _digest(path.read_bytes())


def _plain(value: Any) -> tuple[str, tuple[int, ...], str]:
    array = np.asarray(value)
    return (
        str(array.dtype),
        array.shape,
        hashlib.sha256(array.tobytes() if array.dtype != object else str(value).encode()).hexdigest(),
    )
