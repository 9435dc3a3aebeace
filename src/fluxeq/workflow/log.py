"""The log of a run folder: ``log.jsonl``, one line per finished job."""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fluxeq.workflow.job import Job, Spent

FILE = "log.jsonl"


def append(folder: Path, job: Job, fingerprint: str, spent: Spent) -> None:
    """Append the line of a finished job."""
    line = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "job": job.name,
        "fingerprint": fingerprint,
        "seconds": round(spent.total, 3),
        **{name: round(seconds, 3) for name, seconds in spent.parts.items()},
    }
    with (folder / FILE).open("ab+") as file:
        file.seek(max(0, file.tell() - 1))
        cut = file.read(1) not in (b"", b"\n")  # a line truncated by a kill or a full disk
        file.write(b"\n" * cut + json.dumps(line).encode() + b"\n")


def entries(folder: Path) -> list[Mapping[str, Any] | None]:
    """The lines of the log; None for truncated or damaged ones."""
    path = folder / FILE
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return [_entry(line) for line in text.splitlines() if line]


def _entry(line: str) -> Mapping[str, Any] | None:
    try:
        found = json.loads(line)
        numbers = [found["seconds"], found.get("compiling", 0.0)]
        readable = isinstance(found["job"] + found["time"] + found["fingerprint"], str) and all(
            math.isfinite(number) for number in numbers
        )
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        return None
    return found if readable else None
