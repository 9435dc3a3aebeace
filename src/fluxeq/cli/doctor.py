"""Information on this machine and installation, for a first check and for bug reports."""

import json

from fluxeq.cli.app import SETUP, AsJson, app
from fluxeq.system.progress import progress


@app.command(group=SETUP, sort_key=16)
def doctor(*, as_json: AsJson = False) -> None:
    """Show versions, processors, memory, disk, GPU and caches.

    Example: fluxeq doctor
    """
    with progress("looking"):
        from fluxeq.report.installation import installation

        found = installation()
    if as_json:
        print(json.dumps(found, indent=1))
        return
    for name, value in found.items():
        said = ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, dict) else value
        print(f"{name:10} {said}")
