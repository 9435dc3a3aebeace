"""Optuna's journal of trials, one JSON record per line, made robust against full disks and killed writers.

A truncated record at the end is dropped: no process has read a line without an end, and a record appended to it would
be lost as well. If another program has appended to a truncated record, the fragment is overwritten with blanks. Lines
that others have read thus keep their position, and the repair, under Optuna's own lock, is safe while they work.
Anything else that is not a record is left unchanged and reported.
"""

import json
import logging
import os
from contextlib import ExitStack
from glob import escape
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.storages.journal._file import BaseJournalFileLock, get_lock_file

from fluxeq.errors import InputError
from fluxeq.system.files import locked

START = b'{"op_code":'
"""The beginning of every record."""
LONGEST = 2**20
"""Upper bound of the length of a record, in bytes."""
LOGGER = logging.getLogger(__name__)


class Journal(JournalStorage):
    """The trials in a journal file. Raises InputError if it contains anything else."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            super().__init__(_MendedFile(path))
        except InputError:
            raise
        except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise _no_record(path, self._replay_result.log_number_read, repr(error)) from None


class _Lock(BaseJournalFileLock):
    """Optuna's link-based lock inside one that the kernel releases. An existing link then belongs to a killed process
    or another program, and the wait can be shorter than Optuna's.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._link, self._held = path, JournalFileSymlinkLock(str(path), grace_period=3), ExitStack()

    def acquire(self) -> bool:
        """Acquire the lock."""
        with ExitStack() as held:
            held.enter_context(locked(self._path))
            self._link.acquire()
            self._held = held.pop_all()
        return True

    def release(self) -> None:
        """Release the lock."""
        with self._held:
            self._link.release()


class _MendedFile(JournalFileBackend):
    """The lines of a journal file."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), _Lock(path))
        self._path = path
        with get_lock_file(self._lock):
            for released in path.parent.glob(f"{escape(path.name)}.lock*.rename"):  # its process was killed right then
                released.unlink(missing_ok=True)
            self._mend()

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append all records or, if the disk is full, none."""
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        with get_lock_file(self._lock), self._path.open("r+b", buffering=0) as file:
            end = file.seek(0, os.SEEK_END)
            if end and os.pread(file.fileno(), 1, end - 1) != b"\n":
                self._mend()
                end = file.seek(0, os.SEEK_END)
            try:
                while lines:
                    lines = lines[file.write(lines) :]
            except OSError:
                file.truncate(end)
                raise
            os.fsync(file.fileno())

    def _mend(self) -> None:
        """Drop a truncated record at the end, and blank out truncated records before others."""
        blanks, at, number = [], 0, 0
        with self._path.open("r+b") as file:
            for number, line in enumerate(iter(lambda: file.readline(LONGEST), b""), 1):
                ended = line.endswith(b"\n")
                n_bytes = _remnant(line) if ended else len(line) if _is_cut_off(line.rstrip(b"\0")) else None
                if n_bytes is None:
                    raise _no_record(self._path, number, "other text, or damaged")
                if n_bytes:
                    blanks.append((number, at, n_bytes if ended else None))
                at += len(line)
            for number, at, n_bytes in blanks:
                file.seek(at)
                file.truncate() if n_bytes is None else file.write(b" " * n_bytes)
                LOGGER.warning("%s: line %d: dropped a truncated record, possibly from a full disk", self._path, number)


def _remnant(line: bytes) -> int | None:
    """Number of bytes of a truncated record before the record in a line; None if there is no record."""
    at = 0
    while not _is_record(line[at:]):
        at = line.find(START, at + 1)
        if at < 0:
            return None
    return at if _is_cut_off(line[:at]) else None


def _is_record(text: bytes) -> bool:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and "op_code" in content


def _is_cut_off(text: bytes) -> bool:
    """Whether the text is the beginning of a record."""
    return (text.startswith(START) or START.startswith(text)) and b"\0" not in text and len(text) < LONGEST


def _no_record(path: Path, number: int, why: str) -> InputError:
    return InputError(
        f"{path}: line {number} is not a record of a search ({why}); restore the file, or choose another storage"
    )
