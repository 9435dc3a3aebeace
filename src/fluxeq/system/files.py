"""Atomic file writing (temporary name, sync, rename), checksums, locks, and names of files."""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import Any

from fluxeq.errors import InputError

LONGEST_STEM = 40
"""Maximum number of characters of a file name repeated in its temporary name."""
_temporary: set[Path] = set()
"""Temporary files of this process."""


class DamagedError(ValueError):
    """The content of a file is damaged or of another kind; the message is a clause without the path."""


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write a file atomically: yield a temporary path, renamed to ``path`` on success and removed on failure.

    If ``path`` is a link, its target is replaced. Raises InputError if ``path`` exists and is not a regular file, and
    OSError naming ``path`` if the disk is full or writing fails.
    """
    target = _target(path)
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: is not a file; choose another place")
    target.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: some writers derive the format from it. Process ids are not unique across machines.
    temporary = target.with_name(f".{_short(target.stem)}.{secrets.token_hex(4)}.unfinished{target.suffix}")
    _temporary.add(temporary)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        if error.errno is not None and error.filename in (None, temporary, str(temporary)):
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        with suppress(OSError):  # the folder may have been deleted
            temporary.unlink(missing_ok=True)
        _temporary.discard(temporary)


def _target(path: Path) -> Path:
    """The final target of a link; any other path unchanged."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to the file atomically, as UTF-8."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` to the file atomically, as indented JSON; NaN is an error, since JSON has none."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The content of a JSON file; a checksum is verified and removed.

    Raises InputError if the file cannot be read, is not JSON, or fails the checksum.
    """
    if path.exists() and not path.is_file():  # a folder, or a device that never ends
        raise InputError(f"{path}: is not a file")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return verified(content) if isinstance(content, dict) and "digest" in content else content
    except DamagedError as error:
        raise InputError(f"{path}: {error}; regenerate it, or remove the digest if the change is intended") from None
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a JSON file ({error})") from None


def with_checksum(content: dict[str, Any]) -> dict[str, Any]:
    """The content with its checksum, for a JSON file."""
    return {**content, "digest": digest(content)}


def verified(content: Any) -> dict[str, Any]:
    """The content without its checksum. Raises DamagedError if that is missing or does not match."""
    if not isinstance(content, dict) or "digest" not in content:
        raise DamagedError("no digest: from an earlier version or another program, or damaged")
    found = dict(content)
    if found.pop("digest") != digest(found):
        raise DamagedError("checksum mismatch: damaged, or changed since it was written")
    return found


def digest(content: Any) -> str:
    """A short fingerprint of JSON-serialisable content; equal for equal content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def derived_seed(*parts: int | str) -> int:
    """A seed derived from all ``parts``, reproducibly."""
    return int.from_bytes(hashlib.sha256(json.dumps(parts).encode()).digest()[:6], "big")


def model_file(architecture: str, instance: int) -> str:
    """File name of a trained instance; ``package.module:Class`` is shortened to the class name."""
    return f"{architecture.rpartition(':')[2]}-{instance:03d}.safetensors"


def joint_checkpoint_file(architecture: str) -> str:
    """File name of the checkpoint of instances that are trained together."""
    return f"{architecture.rpartition(':')[2]}-together.checkpoint"


def remove(path: Path) -> None:
    """Remove a file or a folder and its contents, if it exists."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_own_temporary() -> None:
    """Remove the temporary files of this process, for use right before an immediate exit."""
    for path in list(_temporary):
        path.unlink(missing_ok=True)


def remove_temporary(folder: Path) -> None:
    """Remove temporary files left by killed processes, recursively; no process may be writing in the folder."""
    for path in folder.rglob(".*.unfinished*"):
        path.unlink(missing_ok=True)


def remove_temporary_of(path: Path, more: str = "") -> None:
    """Remove temporary files of ``path`` left by killed processes; ``more`` is a glob pattern appended to its stem."""
    target = _target(path)
    # exactly eight characters: what follows a dot may belong to the name of another file
    for left in target.parent.glob(f".{escape(_short(target.stem))}{more}.????????.unfinished{escape(target.suffix)}"):
        left.unlink(missing_ok=True)


def _short(stem: str) -> str:
    """A stem; a long one is cut and gets a digest, so that the result is unique."""
    return stem if len(stem) <= LONGEST_STEM else f"{stem[:LONGEST_STEM]}-{digest(stem)[:8]}"


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold a file lock until the block or the process ends; yields False if ``wait`` is false and the lock is taken.

    The lock is valid on all machines that share the file system; the lock file is kept. Raises InputError if the file
    system does not support locks.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path, fallback_to_soft=False)
    try:
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout:
        yield False
        return
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(f"{path}: the file system does not support locks ({error.strerror}); use another") from None
    try:
        yield True
    finally:
        lock.release()


@contextmanager
def sole_owner(lock: Path, work: str) -> Iterator[None]:
    """Hold a lock file that exists only during the block; its folder is created, and removed again if it stays empty.

    Raises InputError immediately, naming the ``work``, if another process holds the lock. On file systems without
    locks there is no mutual exclusion.
    """
    made = [folder for folder in lock.parents if not folder.exists()]
    lock.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        try:
            is_free = held.enter_context(locked(lock, wait=False)) and lock.exists()
        except FileNotFoundError:  # the previous holder has just removed the folder
            is_free = False
        except InputError:
            is_free = True
        if not is_free:
            raise InputError(f"{lock.parent}: another process {work} there; wait for it, or choose another output")
        try:
            yield
        finally:
            with suppress(OSError):  # the folder is not empty, or another process wants the lock
                lock.unlink()
                for folder in made:
                    folder.rmdir()


@contextmanager
def new_file(output: Path) -> Iterator[None]:
    """Create a new file under a lock, after removing temporary files left by a killed process.

    Raises InputError if the file exists, cannot be created, or is being made by another process.
    """
    require_writable(output)
    with sole_owner(output.with_name(f".{output.name}.lock"), f"is making {output.name}"):
        if output.exists():
            raise InputError(f"{output}: exists; remove it or choose another output")
        remove_temporary_of(output)
        yield


def require_writable(path: Path) -> None:
    """Raise InputError if ``path`` cannot be written: it is a folder, a device or read-only, its folder is a file or
    read-only, or its name is too long. Links are followed.
    """
    try:
        target = _target(path).absolute()
        if target.is_symlink():
            raise InputError(f"{path}: is a circular link; choose another place")
        if path.is_dir():
            raise InputError(f"{path}: is a folder; name a file in it")
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: is not a file; choose another place")
        if path.exists() and not os.access(path, os.W_OK):
            raise InputError(f"{path}: is read-only; make it writable, or choose another place")
        folder = next(parent for parent in target.parents if parent.exists())
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            raise InputError(f"{path}: {folder} is not a writable folder; choose another place")
        if len(os.fsencode(target.name)) > os.pathconf(folder, "PC_NAME_MAX"):
            raise InputError(f"{path}: the name is too long; choose a shorter one")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; choose another place") from None
