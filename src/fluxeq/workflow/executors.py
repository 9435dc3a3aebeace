"""Where jobs run: processes on this machine, or a Dask cluster, behind the interface of ``concurrent.futures``.

Either way one process does one job at a time, with one thread, and all of them see the same files.
"""

import multiprocessing
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.connection import wait
from typing import Any, Protocol, runtime_checkable

from fluxeq.errors import InputError, WorkerLostError
from fluxeq.system.capacity import n_processors
from fluxeq.system.environment import prepare

NAMES = ("local", "dask")
ADDRESS = "tcp://host:8786"

ONE_THREAD = {
    "JAX_PLATFORMS": "cpu",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NPROC": "1",  # threads of XLA
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false --xla_backend_optimization_level=1",
}
"""Jobs run side by side, so each keeps to one thread; a setting of the user's own stays.

Level 1 compiles a third faster than the default, and the compiled steps are as fast (docs/log.md)."""

MOST_WORKERS = 8
"""For each processor; more of them only wait, and need memory for it."""
LOST = (
    "a worker process was killed, by the system if memory ran out; the same command goes on; "
    "fewer processes at a time (--workers of reproduce) need less memory"
)


def require_executor(name: str, scheduler: str | None = None, n_workers: int | None = None) -> None:
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


def executor(name: str, n_workers: int, scheduler: str | None = None) -> AbstractContextManager[Executor]:
    """An executor by name: with so many processes of its own, or with those of the Dask scheduler at an address.

    Raises InputError at once for what is not there: Dask, the scheduler, its workers.
    """
    require_executor(name, scheduler)
    if name == "local":
        return processes(n_workers)
    from fluxeq.workflow import cluster

    return cluster.own(n_workers) if scheduler is None else cluster.joined(scheduler)


@runtime_checkable
class HasRoom(Protocol):
    """An executor that knows whether a job of a kind would begin at once, while jobs of some kinds run in it."""

    def has_room(self, kind: str, running: Sequence[str]) -> bool:
        """False if it would wait; it may as well be given later, since a heavier one may come before it."""
        ...


class Processes(ProcessPoolExecutor):
    """Processes on this machine; ``settings`` are those of the base."""

    def __init__(self, n_workers: int, **settings: Any) -> None:
        super().__init__(n_workers, **settings)
        self._n_workers = n_workers

    def has_room(self, kind: str, running: Sequence[str]) -> bool:
        """Whether fewer jobs than processes run; any process does any job."""
        return len(running) < self._n_workers


@contextmanager
def processes(n_workers: int, start: Callable[[], None] | None = None) -> Iterator[Executor]:
    """Processes on this machine, which begin with ``start`` (as workers, unless given) and end with the block.

    Raises WorkerLostError, inside, if one of them is killed.
    """
    context = multiprocessing.get_context("spawn")
    with children_deaf_to_stops():
        pool = Processes(n_workers, mp_context=context, initializer=start or start_worker)
    try:
        yield pool
    except BaseException as error:
        for process in list((pool._processes or {}).values()):  # a pool that has lost one has none left
            process.kill()
        pool.shutdown(wait=True, cancel_futures=True)
        if isinstance(error, BrokenExecutor):
            raise WorkerLostError(LOST) from None
        raise
    pool.shutdown()


def has_room(pool: Executor, kind: str, running: Sequence[str]) -> bool:
    """Whether to give a job of a kind to an executor in which jobs of some kinds run.

    One that cannot say takes any number, and puts them in an order of its own.
    """
    return not isinstance(pool, HasRoom) or pool.has_room(kind, running)


@contextmanager
def children_deaf_to_stops() -> Iterator[None]:
    """Processes and threads that are started here leave SIGUSR1 to this one, also when it is sent to all of them.

    Among them is one that Python keeps for its own housekeeping, and complains of when it has died.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})


def keep_to_one_thread(settings: Mapping[str, str] = ONE_THREAD) -> None:
    """What a process must do before it imports NumPy or JAX for its first job."""
    prepare()
    for name, value in settings.items():
        os.environ.setdefault(name, value)


def start_worker(settings: Mapping[str, str] = ONE_THREAD) -> None:
    """Keep this process to one thread, and end it when the one that started it ends, however that ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)  # they are for the process that gave the work
    keep_to_one_thread(settings)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
