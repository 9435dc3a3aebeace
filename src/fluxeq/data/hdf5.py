"""HDF5 files that end in a checksum: the SHA-256 of all bytes before it, behind what HDF5 itself reads.

A file is checked as a whole before HDF5 sees any of it, since damage to what HDF5 keeps beside the data goes unnoticed,
crashes the library or makes it ask for absurd memory. Any HDF5 reader takes the file; a program that changes it takes
the checksum away. Checking costs less than a tenth of reading the arrays (benchmarks/ensembles.py).

HDF5 never hears that a disk is full: it crashes when it closes a file after a write that failed. ``Device`` takes what
it writes, and says later what happened.
"""

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import h5py

from fluxeq.errors import InputError

MARK = b"\nfluxeq sha256 "
END = len(MARK) + 2 * hashlib.sha256().digest_size
"""Bytes of the mark and the checksum."""
BOUNDS = ("v110", "v110")
"""Files are for HDF5 from version 1.10 on: its index of chunks needs a third of the bytes of earlier ones."""


class Device(io.RawIOBase):
    """A file for HDF5 whose writes always succeed; after one that did not, nothing more is written."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self._error: BaseException | None = None

    def require_written(self) -> None:
        """Raise what has happened to a write: an OSError, or a signal that came meanwhile."""
        if self._error is not None:
            raise self._error

    def write(self, data: Any) -> int:
        """Write all of it, or keep the reason why not."""
        left = memoryview(data).cast("B")
        n_bytes = len(left)
        try:
            while left and self._error is None:
                left = left[self._file.write(left) :]
        except BaseException as error:
            self._error = error
        return n_bytes

    def truncate(self, size: int | None = None) -> int:
        """Make room, or keep the reason why not."""
        try:
            if self._error is None:
                self._file.truncate(size)
        except BaseException as error:
            self._error = error
        return size or 0

    def readinto(self, buffer: Any) -> int | None:
        """Read back."""
        return self._file.readinto(buffer)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Where it is."""
        return self._file.tell()


@contextmanager
def created(path: Path) -> Iterator[tuple[h5py.File, Device]]:
    """A new file and the device below it, to be asked now and then; the checksum is written when the block has ended.

    Raises OSError if the disk is full.
    """
    with path.open("w+b", buffering=0) as raw:
        device = Device(raw)
        with h5py.File(device, "w", libver=BOUNDS) as file:
            yield file, device
        device.require_written()
        raw.seek(0)
        checksum = hashlib.file_digest(raw, "sha256").hexdigest().encode()
        raw.seek(0, os.SEEK_END)
        device.write(MARK + checksum)
        device.require_written()


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """A file to read. Raises InputError unless it is as ``created`` has left it."""
    with path.open("rb") as raw:
        _require_intact(path, raw)
        with h5py.File(raw, "r") as file:
            yield file


def _require_intact(path: Path, raw: BinaryIO) -> None:
    n_bytes = os.fstat(raw.fileno()).st_size - END
    raw.seek(max(0, n_bytes))
    end = raw.read()
    if not end.startswith(MARK):
        raise InputError(
            f"{path}: not an ensemble of fluxeq, or of an earlier format, or damaged: it does not end in a checksum; "
            "sample it again"
        )
    raw.seek(0)
    found = hashlib.sha256()
    while n_bytes > 0 and (block := raw.read(min(n_bytes, 2**20))):
        found.update(block)
        n_bytes -= len(block)
    if found.hexdigest().encode() != end.removeprefix(MARK):
        raise InputError(
            f"{path}: damaged, or changed since it was written: its checksum is another one; sample it again"
        )
