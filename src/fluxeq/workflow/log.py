"""The log of a folder, ``log.jsonl``: a line for each job that was done, with the seconds that it took."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from fluxeq.workflow.job import Job, Spent


def log(folder: Path, job: Job, fingerprint: str, spent: Spent) -> None:
    """Append the line of a job."""
    line = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "job": job.name,
        "fingerprint": fingerprint,
        "seconds": round(spent.total, 3),
        **{name: round(seconds, 3) for name, seconds in spent.parts.items()},
    }
    with (folder / "log.jsonl").open("ab+") as file:
        if file.tell() and _last_byte(file) != b"\n":  # of a line that a kill or a full disk has cut
            file.write(b"\n")
        file.write(json.dumps(line).encode() + b"\n")


def _last_byte(file: BinaryIO) -> bytes:
    file.seek(-1, os.SEEK_END)
    return file.read(1)
