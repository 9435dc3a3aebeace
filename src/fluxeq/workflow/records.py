"""What a run folder knows of its jobs: whether each is done, and for which settings.

``.jobs/NAME.json`` holds the fingerprint of the settings that a job was prepared with, whether it is done, and then a
digest of each small file that it left. An output that is not there any more, or is not what the job left, makes the job
undone; so does a record that cannot be read. Large outputs, configurations and weights, carry checksums of their own.

Records of jobs are written by the process that works the plan off, and by ``so_far``, each time under a lock of the
job, which whoever does the job shares.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fluxeq.errors import InputError
from fluxeq.runs.plan import Job
from fluxeq.system.files import locked, read_json, remove, write_json

LARGE = ("sample", "worms", "train")
"""Kinds of jobs whose outputs have no digest in the record."""
GROWING = (".log", ".lock")
"""Files in the folder of a search that are not its result."""


def is_kept(run: Path) -> bool:
    """Whether a folder holds the results of a run without the records of its jobs; they count as whole."""
    return not (run / ".jobs").is_dir() and (run / "metrics.csv").exists()


def is_done(run: Path, job: Job, fingerprint: str) -> bool:
    """Whether the outputs of a job are there, whole, and belong to these settings."""
    found = _read(record(run, job))
    if found.get("fingerprint") != fingerprint or found.get("done") is not True:
        return False
    left = found.get("files", {})  # earlier versions wrote none down
    paths = {output: run / output for output in job.outputs}
    there = isinstance(left, dict) and all(path.exists() for path in paths.values())
    return there and all(left.get(output) in (None, _digest(path, job)) for output, path in paths.items())


def mark(run: Path, job: Job, fingerprint: str, *, done: bool) -> None:
    """Note the settings that the place of a job is prepared for, and whether it is done."""
    left = {output: _digest(run / output, job) for output in job.outputs} if done else {}
    files = {output: found for output, found in left.items() if found}
    write_json(record(run, job), {"fingerprint": fingerprint, "done": done} | ({"files": files} if files else {}))


def prepared_as(run: Path, job: Job) -> str | None:
    """The fingerprint of the settings that a job was last prepared with; None if it never was."""
    return fingerprint_in(record(run, job))


def fingerprint_in(path: Path) -> str | None:
    """The fingerprint in the record at a path."""
    return _read(path).get("fingerprint")


@contextmanager
def prepared(run: Path, job: Job, fingerprint: str) -> Iterator[None]:
    """Keep others from a job, what other settings left in its place removed and the settings of this one noted.

    Raises InputError if it is being done.
    """
    path = record(run, job)
    path.parent.mkdir(exist_ok=True)
    before = prepared_as(run, job)
    with locked(path.with_suffix(".lock"), wait=False) as free:
        if not free and before == fingerprint:
            raise InputError(f"{run}: another process is at work on {job.name}; wait for it, or end it")
        if not free:
            raise InputError(
                f"{run}: a worker of an earlier start is still busy with {job.name} of another version of this study; "
                "wait for it, or end it"
            )
        if before != fingerprint:
            for place in job.places:
                remove(run / place)
                remove(run / (place + ".parts"))
            mark(run, job, fingerprint, done=False)
        yield


def prepare(run: Path, job: Job, fingerprint: str) -> None:
    """Remove what other settings left in the place of a job, and note the settings of this one."""
    if prepared_as(run, job) != fingerprint:
        with prepared(run, job, fingerprint):
            pass


def record(run: Path, job: Job) -> Path:
    """Where the record of a job is."""
    return run / ".jobs" / f"{job.name.replace('/', '.')}.json"


def _read(path: Path) -> dict[str, Any]:
    """A record; an empty one if there is none, or it cannot be read."""
    try:
        found = read_json(path)
    except (InputError, OSError):
        return {}
    return found if isinstance(found, dict) else {}


def _digest(path: Path, job: Job) -> str | None:
    """What is in a small output, a file or a folder; None for others."""
    if job.kind in LARGE or not path.exists():
        return None
    inside = sorted(path.iterdir()) if path.is_dir() else [path]
    found = hashlib.sha256()
    for file in inside:
        if file.is_file() and file.suffix not in GROWING:
            found.update(file.name.encode() + b"\0" + file.read_bytes())
    return found.hexdigest()
