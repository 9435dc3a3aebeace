"""HDF5 files that end in a checksum: the SHA-256 of all bytes before it, appended where HDF5 does not read.

The checksum is verified before HDF5 opens the file, since damaged HDF5 metadata goes unnoticed, crashes the library or
makes it request absurd amounts of memory. Any HDF5 reader can read the file; a program that changes it removes the
checksum. The check takes less than a tenth of the time to read the arrays (benchmarks/ensembles.py).

HDF5 crashes when it closes a file after a failed write. ``DeferredErrors`` therefore hides write errors such as a full
disk from HDF5, and reports them later.
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
"""Bytes of the marker and the checksum."""
BOUNDS = ("v110", "v110")
"""Files need HDF5 1.10 or newer: its chunk index takes a third of the bytes of earlier ones."""


class DeferredErrors(io.FileIO):
    """A file for HDF5 that hides write errors; after the first, nothing more is written."""

    _error: BaseException | None = None

    def require_written(self) -> None:
        """Raise the exception of a failed write: an OSError, or that of a signal."""
        if self._error is not None:
            raise self._error

    def write(self, data: Any) -> int:
        """Write all data, or record the exception."""
        left = memoryview(data).cast("B")
        n_bytes = len(left)
        try:
            while left and self._error is None:
                left = left[super().write(left) :]
        except BaseException as error:
            self._error = error
        return n_bytes

    def truncate(self, size: int | None = None) -> int:
        """Resize the file, or record the exception."""
        try:
            if self._error is None:
                super().truncate(size)
        except BaseException as error:
            self._error = error
        return size or 0


@contextmanager
def created(path: Path) -> Iterator[tuple[h5py.File, DeferredErrors]]:
    """A new file and its device, whose ``require_written`` should be called regularly; ends by writing the checksum.

    Raises OSError if the disk is full.
    """
    with DeferredErrors(path, "w+") as device:
        with h5py.File(device, "w", libver=BOUNDS) as file:
            yield file, device
        device.require_written()
        device.seek(0)
        checksum = hashlib.file_digest(device, "sha256").hexdigest().encode()
        device.seek(0, os.SEEK_END)
        device.write(MARK + checksum)
        device.require_written()


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading. Raises InputError if it was changed since ``created`` wrote it."""
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
            f"{path}: not an ensemble of fluxeq, of an earlier format, or damaged: no checksum at its end; "
            "sample it again"
        )
    raw.seek(0)
    found = hashlib.sha256()
    while n_bytes > 0 and (block := raw.read(min(n_bytes, 2**20))):
        found.update(block)
        n_bytes -= len(block)
    if found.hexdigest().encode() != end.removeprefix(MARK):
        raise InputError(f"{path}: checksum mismatch: damaged, or changed since it was written; sample it again")
