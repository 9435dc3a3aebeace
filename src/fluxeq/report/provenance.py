"""How a run was made: versions, machine, and how long each kind of job took."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fluxeq.report.installation import machine, versions
from fluxeq.system.files import write_json


def provenance(run: Path, fingerprints: Mapping[str, str]) -> dict[str, Any]:
    """What is known of how the run came to be; times are summed over all starts, from its log.

    ``fingerprints`` are those of the jobs of the study: lines of others, as of an earlier version of it, do not count.
    """
    lines = _lines(run / "log.jsonl")
    events = [line for line in lines if line and fingerprints.get(line["job"]) == line["fingerprint"]]
    unreadable = lines.count(None)
    return {
        **versions(),
        "machine": machine(),
        **({"first_job_done": events[0]["time"], "last_job_done": events[-1]["time"]} if events else {}),
        "seconds_of_work": _by_kind(events, "seconds"),
        "seconds_of_compiling": _by_kind(events, "compiling"),
        **({"unreadable_lines_of_log": unreadable} if unreadable else {}),
    }


def _lines(path: Path) -> list[dict[str, Any] | None]:
    """The lines of a log; None for those that a kill or a full disk has cut, or that are damaged."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return [_line(line) for line in text.splitlines() if line]


def _line(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
        numbers = [found["seconds"], found.get("compiling", 0.0)]
        readable = isinstance(found["job"] + found["time"] + found["fingerprint"], str) and all(
            math.isfinite(number) for number in numbers
        )
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        return None
    return found if readable else None


def _by_kind(events: list[dict[str, Any]], what: str) -> dict[str, float]:
    """Sums over the jobs of each kind that spent any."""
    seconds: dict[str, float] = {}
    for event in events:
        kind = event["job"].partition("/")[0]
        seconds[kind] = seconds.get(kind, 0.0) + event.get(what, 0.0)
    return {kind: round(total, 1) for kind, total in seconds.items() if total}


def write_provenance(run: Path, fingerprints: Mapping[str, str]) -> None:
    """Write provenance.json."""
    write_json(run / "provenance.json", provenance(run, fingerprints))
