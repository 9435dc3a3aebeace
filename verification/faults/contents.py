"""Content of files, to compare two folders: numbers exactly, images and times not at all."""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Contents = dict[str, Any]
"""By path relative to the folder."""
TIMES = ("log.jsonl", "provenance.json")
"""Files of a run that record when and where it was made; so does a journal."""
PICTURES = (".png", ".pdf")
WHEN = re.compile(rb"<th>(first_job_done|last_job_done|seconds_of_\w+)</th>.*?</tr>", re.DOTALL)
"""The times in a report."""
JOURNAL = b'{"op_code"'


def contents(folder: Path) -> Contents:
    """The content of every file in a folder and its subfolders, by relative path; locks are left out."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.endswith("lock")]
    return {str(path.relative_to(folder)): content(path) for path in paths}


def content(path: Path) -> Any:
    """A value that is equal for two files with the same content."""
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
    """The fingerprint and the state in a job record; its digests may depend on times."""
    try:
        record = json.loads(path.read_bytes())
        return record["fingerprint"], record["done"]
    except (ValueError, KeyError, TypeError):
        return _digest(path.read_bytes())


def _begins_with(path: Path, start: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(start)) == start


def differences(there: Contents, here: Contents) -> Iterator[str]:
    """The files whose content differs, one line each."""
    yield from (
        f"{name} is another" for name in sorted(there.keys() | here.keys()) if there.get(name) != here.get(name)
    )


def _arrays(path: Path) -> Any:
    """All arrays and attributes of an HDF5 file, independent of compression; a digest of its bytes if invalid."""
    found: dict[str, Any] = {}

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = _plain(item[()])

    try:
        with h5py.File(path) as file:
            file.visititems(note)
            return {**found, "attributes": {name: _plain(value) for name, value in file.attrs.items()}}
    except Exception:  # damage of any kind
        return _digest(path.read_bytes())


def _plain(value: Any) -> tuple[str, tuple[int, ...], str]:
    array = np.asarray(value)
    return (
        str(array.dtype),
        array.shape,
        hashlib.sha256(array.tobytes() if array.dtype != object else str(value).encode()).hexdigest(),
    )
