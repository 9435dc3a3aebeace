"""Where jobs run: an executor of ``concurrent.futures`` and how it is fed. Here, processes on this machine.

One process does one batch of jobs at a time, with one thread, and all of them see the same files.
"""

import math
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from multiprocessing.connection import wait
from typing import NamedTuple

from fluxeq.errors import WorkerLostError
from fluxeq.system.environment import prepare

ONE_THREAD = {
    "JAX_PLATFORMS": "cpu",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NPROC": "1",  # threads of XLA
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false --xla_backend_optimization_level=1",
}
"""Jobs run side by side, so each keeps to one thread; a setting of the user's own stays.

Level 1 compiles a third faster than the default, and the compiled steps are as fast (docs/log.md)."""

LARGEST_BATCH = 500
"""Jobs of one group in one submission: each has an open lock file."""
LOST = (
    "a worker process was killed, by the system if memory ran out; the same command goes on; "
    "fewer processes at a time (--workers of reproduce) need less memory"
)


class Workers(NamedTuple):
    """An executor and how it is fed."""

    executor: Executor
    n: float = math.inf
    """Batches at a time; further ones wait, since a heavier one may come before them."""
    jobs_together: int = 1
    """Jobs of one group in one batch: where each process compiles for itself, as many as there are."""


class Fleet(NamedTuple):
    """All workers of a run: those for jobs that learn, and those for others, perhaps the same."""

    others: Workers
    learning: Workers

    @property
    def n(self) -> float:
        """Batches at a time, over all."""
        return self.others.n if self.learning is self.others else self.others.n + self.learning.n


@contextmanager
def processes(
    n_workers: int, settings: Mapping[str, str] = ONE_THREAD, jobs_together: int = LARGEST_BATCH
) -> Iterator[Workers]:
    """Processes on this machine with these settings in their environment; they end with the block.

    Raises WorkerLostError, inside, if one of them is killed.
    """
    context = multiprocessing.get_context("spawn")
    with children_deaf_to_stops():
        pool = ProcessPoolExecutor(n_workers, mp_context=context, initializer=partial(start_worker, dict(settings)))
    try:
        yield Workers(pool, n_workers, jobs_together)
    except BaseException as error:
        for process in list((pool._processes or {}).values()):  # a pool that has lost one has none left
            process.kill()
        pool.shutdown(wait=True, cancel_futures=True)
        if isinstance(error, BrokenExecutor):
            raise WorkerLostError(LOST) from None
        raise
    pool.shutdown()


@contextmanager
def fleet(workers: AbstractContextManager[Workers], gpu: Mapping[str, str] | None = None) -> Iterator[Fleet]:
    """These workers for all jobs; with the environment of a ``gpu``, one further process for those that learn."""
    with workers as others:
        if gpu is None:
            yield Fleet(others, others)
            return
        with processes(1, {**ONE_THREAD, **gpu, "XLA_FLAGS": ""}) as learning:  # the flags are for a CPU
            yield Fleet(others, learning)


@contextmanager
def children_deaf_to_stops() -> Iterator[None]:
    """Processes and threads that are started here leave SIGUSR1 to this one, also when it is sent to all of them.

    Among them is one that Python keeps for its own housekeeping, and complains of when it has died.
    """
    if not hasattr(signal, "pthread_sigmask"):  # on Windows, which has no SIGUSR1
        yield
        return
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
    for number in (signal.SIGINT, signal.SIGTERM, *({signal.SIGUSR1} if hasattr(signal, "SIGUSR1") else ())):
        signal.signal(number, signal.SIG_IGN)  # they are for the process that gave the work
    keep_to_one_thread(settings)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
