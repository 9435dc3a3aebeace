"""Provenance of a run: versions, machine, and the time spent on each kind of job."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fluxeq.report.installation import machine, versions
from fluxeq.workflow.log import entries


def provenance(run: Path, fingerprints: Mapping[str, str]) -> dict[str, Any]:
    """The provenance of a run; times are summed over all starts, from its log.

    ``fingerprints`` are those of the jobs of the study: other lines, such as those of earlier versions, are ignored.
    """
    lines = entries(run)
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


def _by_kind(events: Sequence[Mapping[str, Any]], what: str) -> dict[str, float]:
    """Non-zero sums over the jobs of each kind."""
    seconds: dict[str, float] = {}
    for event in events:
        kind = event["job"].partition("/")[0]
        seconds[kind] = seconds.get(kind, 0.0) + event.get(what, 0.0)
    return {kind: round(total, 1) for kind, total in seconds.items() if total}
