"""Selection of workers by command-line options: processes on this machine, or a Dask cluster."""

import re
from contextlib import AbstractContextManager

from fluxeq.errors import InputError
from fluxeq.system.capacity import n_processors
from fluxeq.workflow.executors import Workers, processes

NAMES = ("local", "dask")
ADDRESS = "tcp://host:8786"
MOST_WORKERS = 8
"""Per processor; more would only wait and use memory."""


def require_workers(name: str, scheduler: str | None = None, n_workers: int | None = None) -> None:
    """Raise InputError for an unknown executor or invalid settings for it."""
    if name not in NAMES:
        raise InputError(f"executor {name!r}: choose one of {', '.join(NAMES)}")
    if n_workers is not None and n_workers < 1:
        raise InputError(f"workers = {n_workers}: must be at least 1")
    if n_workers is not None and n_workers > MOST_WORKERS * n_processors():
        raise InputError(
            f"workers = {n_workers}: must be at most {MOST_WORKERS} for each of the {n_processors()} processors here"
        )
    if scheduler is None:
        return
    if name != "dask":
        raise InputError(f"scheduler {scheduler!r}: requires --executor dask")
    if n_workers is not None:
        raise InputError(f"workers = {n_workers}: the cluster at {scheduler} has its own workers; leave out --workers")
    if not re.fullmatch(r"((tcp|tls|ucx|wss?)://)?[^/\s]+:\d+", scheduler):
        raise InputError(f"scheduler {scheduler!r}: must be the address that 'dask scheduler' prints, as in {ADDRESS}")


def workers(name: str, n_workers: int, scheduler: str | None = None) -> AbstractContextManager[Workers]:
    """Local processes, or the workers of a Dask scheduler, depending on the name of the executor.

    Raises InputError immediately if Dask, its scheduler or its workers are missing.
    """
    require_workers(name, scheduler)
    if name == "local":
        return processes(n_workers)
    from fluxeq.workflow import cluster

    return cluster.own(n_workers) if scheduler is None else cluster.joined(scheduler)
