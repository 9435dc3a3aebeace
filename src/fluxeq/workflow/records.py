"""What a folder knows of its jobs: whether each is done, and for which settings.

``.jobs/NAME.json`` holds the fingerprint of the settings that a job was prepared with, whether it is done, and then a
digest of each small file that it left. An output that is not there any more, or is not what the job left, makes the job
undone; so does a record that cannot be read. Large outputs carry checksums of their own.

Records are never written where a job is done, so that a job of an earlier start that is still at work somewhere cannot
undo what belongs to this one. Whoever prepares or does a job holds its lock, ``.jobs/NAME.lock``.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fluxeq.errors import InputError
from fluxeq.system.files import locked, read_json, remove, write_json
from fluxeq.workflow.job import Job

FOLDER = ".jobs"
GROWING = (".log", ".lock")
"""Files in an output folder that are not its result."""


def is_done(folder: Path, job: Job, fingerprint: str) -> bool:
    """Whether the outputs of a job are there, whole, and belong to these settings."""
    found = _read(record(folder, job.name))
    if found.get("fingerprint") != fingerprint or found.get("done") is not True:
        return False
    left = found.get("files", {})
    paths = {output: folder / output for output in job.outputs}
    there = isinstance(left, dict) and all(path.exists() for path in paths.values())
    return there and all(left.get(output) in (None, _digest(path, job)) for output, path in paths.items())


def missing(folder: Path, jobs: Sequence[Job], fingerprints: Mapping[str, str], all_of_it: bool = False) -> list[Job]:
    """The jobs to do. Unless all are asked for, intermediate outputs may be missing where what needs them is done."""
    found: list[Job] = []
    asked: set[str] = set()
    for job in reversed(jobs):
        wanted = all_of_it or job.name in asked or not job.work.intermediate
        if wanted and not is_done(folder, job, fingerprints[job.name]):
            found.append(job)
            asked.update(job.needs)
    return found[::-1]


def mark(folder: Path, job: Job, fingerprint: str, *, done: bool) -> None:
    """Note the settings that the place of a job is prepared for, and whether it is done."""
    left = {output: _digest(folder / output, job) for output in job.outputs} if done else {}
    files = {output: found for output, found in left.items() if found}
    write_json(
        record(folder, job.name), {"fingerprint": fingerprint, "done": done} | ({"files": files} if files else {})
    )


def prepared_as(folder: Path, name: str) -> str | None:
    """The fingerprint of the settings that a job was last prepared with; None if it never was."""
    return _read(record(folder, name)).get("fingerprint")


@contextmanager
def prepared(folder: Path, job: Job, fingerprint: str) -> Iterator[None]:
    """Keep others from a job, what other settings left in its place removed and the settings of this one noted.

    Raises InputError if it is being done.
    """
    (folder / FOLDER).mkdir(exist_ok=True)
    before = prepared_as(folder, job.name)
    with locked(lock(folder, job.name), wait=False) as free:
        if not free and before == fingerprint:
            raise InputError(f"{folder}: another process is at work on {job.name}; wait for it, or end it")
        if not free:
            raise InputError(
                f"{folder}: a worker of an earlier start is still busy with {job.name} of another version of this "
                "study; wait for it, or end it"
            )
        if before != fingerprint:
            for place in (*job.outputs, *job.byproducts):
                remove(folder / place)
            mark(folder, job, fingerprint, done=False)
        yield


def prepare(folder: Path, job: Job, fingerprint: str) -> None:
    """Remove what other settings left in the place of a job, and note the settings of this one."""
    if prepared_as(folder, job.name) != fingerprint:
        with prepared(folder, job, fingerprint):
            pass


def record(folder: Path, name: str) -> Path:
    """Where the record of a job is."""
    return folder / FOLDER / f"{name.replace('/', '.')}.json"


def lock(folder: Path, name: str) -> Path:
    """What whoever prepares or does a job holds."""
    return folder / FOLDER / f"{name.replace('/', '.')}.lock"


def _read(path: Path) -> dict[str, Any]:
    """A record; an empty one if there is none, or it cannot be read."""
    try:
        found = read_json(path)
    except (InputError, OSError):
        return {}
    return found if isinstance(found, dict) else {}


def _digest(path: Path, job: Job) -> str | None:
    """What is in a small output, a file or a folder; None for others."""
    if job.work.large or not path.exists():
        return None
    inside = sorted(path.iterdir()) if path.is_dir() else [path]
    found = hashlib.sha256()
    for file in inside:
        if file.is_file() and file.suffix not in GROWING:
            found.update(file.name.encode() + b"\0" + file.read_bytes())
    return found.hexdigest()
