"""Records of jobs in a run folder: whether each job is done, and for which settings.

``.jobs/NAME.json`` holds the fingerprint of the settings for which a job was prepared, whether it is done, and the
checksums of its small output files. A job with a missing or changed output, or an unreadable record, is not done.
Large outputs contain their own checksums.

Workers do not write records, so a job of an earlier start that is still running somewhere cannot affect this one.
A process that prepares or runs a job holds its lock, ``.jobs/NAME.lock``.
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
"""Suffixes of files in an output folder that are not results."""


def is_done(folder: Path, job: Job, fingerprint: str) -> bool:
    """Whether the outputs of a job exist, are intact, and belong to these settings."""
    found = _read(record(folder, job.name))
    if found.get("fingerprint") != fingerprint or found.get("done") is not True:
        return False
    left = found.get("files", {})
    paths = {output: folder / output for output in job.outputs}
    there = isinstance(left, dict) and all(path.exists() for path in paths.values())
    return there and all(left.get(output) in (None, _digest(path, job)) for output, path in paths.items())


def missing(folder: Path, jobs: Sequence[Job], fingerprints: Mapping[str, str], all_of_it: bool = False) -> list[Job]:
    """The jobs to run. Unless ``all_of_it``, missing intermediate outputs are ignored if their users are done."""
    found: list[Job] = []
    asked: set[str] = set()
    for job in reversed(jobs):
        wanted = all_of_it or job.name in asked or not job.work.intermediate
        if wanted and not is_done(folder, job, fingerprints[job.name]):
            found.append(job)
            asked.update(job.needs)
    return found[::-1]


def mark(folder: Path, job: Job, fingerprint: str, *, done: bool) -> None:
    """Record the settings for which a job is prepared, and whether it is done."""
    left = {output: _digest(folder / output, job) for output in job.outputs} if done else {}
    files = {output: found for output, found in left.items() if found}
    write_json(
        record(folder, job.name), {"fingerprint": fingerprint, "done": done} | ({"files": files} if files else {})
    )


def prepared_as(folder: Path, name: str) -> str | None:
    """The fingerprint of the settings for which a job was last prepared; None if it never was."""
    return _read(record(folder, name)).get("fingerprint")


@contextmanager
def prepared(folder: Path, job: Job, fingerprint: str) -> Iterator[None]:
    """Lock a job, remove outputs made with other settings, and record the new settings.

    Raises InputError if the job is running.
    """
    (folder / FOLDER).mkdir(exist_ok=True)
    before = prepared_as(folder, job.name)
    with locked(lock(folder, job.name), wait=False) as free:
        if not free and before == fingerprint:
            raise InputError(f"{folder}: another process is running {job.name}; wait for it, or stop it")
        if not free:
            raise InputError(
                f"{folder}: a worker of an earlier start is still running {job.name} of another version of this "
                "study; wait for it, or stop it"
            )
        if before != fingerprint:
            for place in (*job.outputs, *job.byproducts):
                remove(folder / place)
            mark(folder, job, fingerprint, done=False)
        yield


def prepare(folder: Path, job: Job, fingerprint: str) -> None:
    """Remove outputs of a job made with other settings, and record the new settings."""
    if prepared_as(folder, job.name) != fingerprint:
        with prepared(folder, job, fingerprint):
            pass


def record(folder: Path, name: str) -> Path:
    """The path of the record of a job."""
    return folder / FOLDER / f"{name.replace('/', '.')}.json"


def lock(folder: Path, name: str) -> Path:
    """The path of the lock of a job."""
    return record(folder, name).with_suffix(".lock")


def _read(path: Path) -> dict[str, Any]:
    """The content of a record; empty if it is missing or unreadable."""
    try:
        found = read_json(path)
    except (InputError, OSError):
        return {}
    return found if isinstance(found, dict) else {}


def _digest(path: Path, job: Job) -> str | None:
    """Checksum of a small output, file or folder; None for large ones."""
    if job.work.self_checked or not path.exists():
        return None
    inside = sorted(path.iterdir()) if path.is_dir() else [path]
    found = hashlib.sha256()
    for file in inside:
        if file.is_file() and file.suffix not in GROWING:
            found.update(file.name.encode() + b"\0" + file.read_bytes())
    return found.hexdigest()
