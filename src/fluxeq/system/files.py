"""Files that are either whole or not there: written to a temporary name, synced and renamed. And what names them."""

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
"""Characters of a name that its temporary one repeats, which must not become too long."""
_being_written: set[Path] = set()
"""By this process."""


class DamagedError(ValueError):
    """The content of a file is not what was written, or of another kind; the message is a clause, without the path."""


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary path that becomes ``path`` when the block ends well, and is removed when it does not.

    A link stays, and the file that it names is replaced. Raises InputError for what is no file, such as a device, and
    OSError with the name of ``path`` where the disk is full or refuses.
    """
    target = _target(path)
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: is not a file; choose another place")
    target.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: some writers choose the format by it. Process numbers repeat on other machines.
    temporary = target.with_name(f".{_short(target.stem)}.{secrets.token_hex(4)}.unfinished{target.suffix}")
    _being_written.add(temporary)
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
        with suppress(OSError):  # the folder may have gone
            temporary.unlink(missing_ok=True)
        _being_written.discard(temporary)


def _target(path: Path) -> Path:
    """The file that a link names, over all further links; any other path as it is."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def write_text(path: Path, text: str) -> None:
    """Replace the file by ``text``, as UTF-8."""
    with whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Replace the file by ``content`` as indented JSON; NaN is an error, since JSON has none."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The content of a JSON file, without the digest of one that was sealed.

    Raises InputError if the file cannot be read, is not JSON, or has a digest that is another one.
    """
    if path.exists() and not path.is_file():  # a folder, or a device that never ends
        raise InputError(f"{path}: is not a file")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return unsealed(content) if isinstance(content, dict) and "digest" in content else content
    except DamagedError as error:
        raise InputError(f"{path}: {error}; make it again, or remove the digest if that is meant") from None
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a JSON file ({error})") from None


def sealed(content: dict[str, Any]) -> dict[str, Any]:
    """Content for a JSON file, with its digest."""
    return {**content, "digest": digest(content)}


def unsealed(content: Any) -> dict[str, Any]:
    """What was sealed, without the digest. Raises DamagedError if that is missing or another one."""
    if not isinstance(content, dict) or "digest" not in content:
        raise DamagedError("no digest: of an earlier version, of another program, or damaged")
    found = dict(content)
    if found.pop("digest") != digest(found):
        raise DamagedError("its digest is another one: damaged, or changed since it was written")
    return found


def digest(content: Any) -> str:
    """A short fingerprint of anything that JSON can hold; equal for equal content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def derived_seed(*parts: int | str) -> int:
    """A seed that depends on every part: the same names always give it, other names another one."""
    return int.from_bytes(hashlib.sha256(json.dumps(parts).encode()).digest()[:6], "big")


def model_file(architecture: str, instance: int) -> str:
    """The name of the file of a trained instance; ``package.module:Class`` goes by that of the class."""
    return f"{architecture.rpartition(':')[2]}-{instance:03d}.safetensors"


def together_file(architecture: str) -> str:
    """The name of the checkpoint of instances that are trained together."""
    return f"{architecture.rpartition(':')[2]}-together.checkpoint"


def remove(path: Path) -> None:
    """Remove a file or a folder with all it holds, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_own_unfinished() -> None:
    """Remove what this process is writing, right before it ends at once."""
    for path in list(_being_written):
        path.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Remove what killed writers left in a folder and below; nobody else may be writing there."""
    for path in folder.rglob(".*.unfinished*"):
        path.unlink(missing_ok=True)


def remove_unfinished_of(path: Path, more: str = "") -> None:
    """Remove what killed writers left of one file, or of all whose stems go on as the pattern ``more`` says."""
    target = _target(path)
    # exactly eight characters, as what stands behind a dot may belong to the name of another file
    for left in target.parent.glob(f".{escape(_short(target.stem))}{more}.????????.unfinished{escape(target.suffix)}"):
        left.unlink(missing_ok=True)


def _short(stem: str) -> str:
    """A stem, or its beginning with a digest, so that no two have the same."""
    return stem if len(stem) <= LONGEST_STEM else f"{stem[:LONGEST_STEM]}-{digest(stem)[:8]}"


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold a lock, which ends with the block or the process; False, if it is not to wait and somebody else holds it.

    It holds on all machines that see the file, which stays. Raises InputError if the file system keeps no locks.
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
        raise InputError(f"{path}: this file system keeps no locks ({error.strerror}); use another") from None
    try:
        yield True
    finally:
        lock.release()


@contextmanager
def claimed(lock: Path, work: str) -> Iterator[None]:
    """Hold a lock file that is there for the block only; its folder is made, and removed again if nothing gets into it.

    Raises InputError at once, which names the ``work``, if another process holds it. Where the file system keeps no
    locks, nobody is kept out.
    """
    made = [folder for folder in lock.parents if not folder.exists()]
    lock.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        try:
            is_free = held.enter_context(locked(lock, wait=False)) and lock.exists()
        except FileNotFoundError:  # who held it has just removed the folder
            is_free = False
        except InputError:
            is_free = True
        if not is_free:
            raise InputError(f"{lock.parent}: another process {work} there; wait for it, or choose another output")
        try:
            yield
        finally:
            with suppress(OSError):  # there is something in the folder, or another process has come for the lock
                lock.unlink()
                for folder in made:
                    folder.rmdir()


@contextmanager
def made_once(output: Path) -> Iterator[None]:
    """Make a file that is not overwritten: nobody else makes it meanwhile, and what a killed process left goes.

    Raises InputError if it is there, cannot be, or is being made.
    """
    require_writable(output)
    with claimed(output.with_name(f".{output.name}.lock"), f"is making {output.name}"):
        if output.exists():
            raise InputError(f"{output}: exists; remove it or choose another output")
        remove_unfinished_of(output)
        yield


def require_writable(path: Path) -> None:
    """Raise InputError if ``path`` cannot be a new file: it is a folder, a device or read-only, its folder is a file or
    read-only, or its name is too long. A link stands for what it names.
    """
    try:
        _require_writable(path, _target(path).absolute())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; choose another place") from None


def _require_writable(path: Path, target: Path) -> None:
    if target.is_symlink():
        raise InputError(f"{path}: is a link that leads back to itself; choose another place")
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file in it")
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: is not a file; choose another place")
    if path.exists() and not os.access(path, os.W_OK):
        raise InputError(f"{path}: is read-only; make it writable, or choose another place")
    folder = next(parent for parent in target.parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InputError(f"{path}: {folder} is not a folder that can be written to; choose another place")
    if len(os.fsencode(target.name)) > os.pathconf(folder, "PC_NAME_MAX"):
        raise InputError(f"{path}: the name is too long; choose a shorter one")
