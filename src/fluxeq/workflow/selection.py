"""The choice of workers by the words of a command: processes of this machine, or a Dask cluster."""

import re
from contextlib import AbstractContextManager

from fluxeq.errors import InputError
from fluxeq.system.capacity import n_processors
from fluxeq.workflow.executors import Workers, processes

NAMES = ("local", "dask")
ADDRESS = "tcp://host:8786"
MOST_WORKERS = 8
"""For each processor; more of them only wait, and need memory for it."""


def require_workers(name: str, scheduler: str | None = None, n_workers: int | None = None) -> None:
    """Raise InputError for an executor that does not exist, or that cannot have these settings."""
    if name not in NAMES:
        raise InputError(f"executor {name!r}: choose one of {', '.join(NAMES)}")
    if n_workers is not None and n_workers < 1:
        raise InputError(f"workers = {n_workers}: at least 1 is needed")
    if n_workers is not None and n_workers > MOST_WORKERS * n_processors():
        raise InputError(
            f"workers = {n_workers}: at most {MOST_WORKERS} for each of the {n_processors()} processors here"
        )
    if scheduler is None:
        return
    if name != "dask":
        raise InputError(f"scheduler {scheduler!r}: belongs to --executor dask")
    if n_workers is not None:
        raise InputError(f"workers = {n_workers}: the cluster at {scheduler} has its own; leave --workers out")
    if not re.fullmatch(r"((tcp|tls|ucx|wss?)://)?[^/\s]+:\d+", scheduler):
        raise InputError(
            f"scheduler {scheduler!r}: the address that 'dask scheduler' prints is needed, as in {ADDRESS}"
        )


def workers(name: str, n_workers: int, scheduler: str | None = None) -> AbstractContextManager[Workers]:
    """Workers by name: so many processes of their own, or those of the Dask scheduler at an address.

    Raises InputError at once for what is not there: Dask, the scheduler, its workers.
    """
    require_workers(name, scheduler)
    if name == "local":
        return processes(n_workers)
    from fluxeq.workflow import cluster

    return cluster.own(n_workers) if scheduler is None else cluster.joined(scheduler)
