"""How a run was made: versions, machine, and how long each kind of job took."""

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from llvmlite import binding

from fluxeq import __version__
from fluxeq.files import write_json

PACKAGES = ("numpy", "numba", "jax", "jaxlib", "equinox", "optax", "optuna", "pyerrors", "h5py", "safetensors")


def provenance(run: Path) -> dict[str, Any]:
    """What is known of how the run came to be; times are summed over all starts, from its log."""
    events = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return {
        "fluxeq": __version__,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "machine": {
            "system": platform.system(),
            "architecture": platform.machine(),
            "processor": binding.get_host_cpu_name(),  # the kind that compiled code is made for: others round otherwise
            "processors": os.cpu_count(),
        },
        "first_job_done": events[0]["time"],
        "last_job_done": events[-1]["time"],
        "seconds_of_work": _by_kind(events, "seconds"),
        "seconds_of_compiling": _by_kind(events, "compiling"),
    }


def _by_kind(events: list[dict[str, Any]], what: str) -> dict[str, float]:
    """Sums over the jobs of each kind that spent any; earlier versions did not log all of it."""
    seconds: dict[str, float] = {}
    for event in events:
        kind = event["job"].partition("/")[0]
        seconds[kind] = seconds.get(kind, 0.0) + event.get(what, 0.0)
    return {kind: round(total, 1) for kind, total in seconds.items() if total}


def write_provenance(run: Path) -> None:
    """Write provenance.json."""
    write_json(run / "provenance.json", provenance(run))
