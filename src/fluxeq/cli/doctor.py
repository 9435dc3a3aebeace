"""Information on this machine and installation, for a first check and for bug reports."""

import json
from typing import Annotated

from cyclopts import Parameter

from fluxeq.cli.app import SETUP, app
from fluxeq.system.progress import progress


@app.command(group=SETUP, sort_key=16)
def doctor(*, as_json: Annotated[bool, Parameter(name="--json")] = False) -> None:
    """Show versions, processors, memory, disk, GPU and caches.

    Example: fluxeq doctor

    Parameters
    ----------
    as_json:
        Print JSON.
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
