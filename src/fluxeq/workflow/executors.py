"""Workers: executors of ``concurrent.futures`` and their limits; here, processes on this machine.

Each process runs one batch of jobs at a time, with one thread; all processes share the file system.
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
"""Jobs run in parallel, so each uses one thread; variables set by the user take precedence.

Level 1 compiles a third faster than the default, and the compiled steps are equally fast (docs/log.md)."""

LARGEST_BATCH = 500
"""Maximum number of jobs in one submission: each has an open lock file."""
LOST = (
    "a worker process was killed, possibly for lack of memory; run the same command again to resume, "
    "perhaps with fewer processes (--workers of reproduce)"
)


class Workers(NamedTuple):
    """An executor and its limits."""

    executor: Executor
    n: float = math.inf
    """Batches submitted at a time; the others wait, since heavier ones may arrive."""
    jobs_together: int = 1
    """Maximum number of jobs of one group in a batch; large if each process compiles for itself."""


class WorkerPools(NamedTuple):
    """All workers of a run: those that train networks and those for other jobs, possibly the same."""

    others: Workers
    learning: Workers

    @property
    def n(self) -> float:
        """Batches at a time, in total."""
        return self.others.n if self.learning is self.others else self.others.n + self.learning.n


@contextmanager
def processes(n_workers: int, settings: Mapping[str, str] = ONE_THREAD) -> Iterator[Workers]:
    """Start processes on this machine with these environment variables; they end with the block.

    Raises WorkerLostError, in the block, if one of them is killed.
    """
    context = multiprocessing.get_context("spawn")
    with children_ignore_signals():
        pool = ProcessPoolExecutor(n_workers, mp_context=context, initializer=partial(start_worker, dict(settings)))
    try:
        yield Workers(pool, n_workers, LARGEST_BATCH)
    except BaseException as error:
        for process in list((pool._processes or {}).values()):  # a broken pool has none left
            process.kill()
        pool.shutdown(wait=True, cancel_futures=True)
        if isinstance(error, BrokenExecutor):
            raise WorkerLostError(LOST) from None
        raise
    pool.shutdown()


@contextmanager
def worker_pools(
    workers: AbstractContextManager[Workers], gpu: Mapping[str, str] | None = None
) -> Iterator[WorkerPools]:
    """Use these workers for all jobs; given the environment of a ``gpu``, one more process trains networks."""
    with workers as others:
        if gpu is None:
            yield WorkerPools(others, others)
            return
        with processes(1, {**ONE_THREAD, **gpu, "XLA_FLAGS": ""}) as learning:  # the flags are for a CPU
            yield WorkerPools(others, learning)


@contextmanager
def children_ignore_signals() -> Iterator[None]:
    """Let processes and threads started in the block ignore SIGUSR1, which is handled by this process.

    Among them is Python's resource tracker, whose death causes a warning.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows has no SIGUSR1
        yield
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})


def single_threaded(settings: Mapping[str, str] = ONE_THREAD) -> None:
    """Prepare a process for its first job, before it imports NumPy or JAX."""
    prepare()
    for name, value in settings.items():
        os.environ.setdefault(name, value)


def start_worker(settings: Mapping[str, str] = ONE_THREAD) -> None:
    """Limit this process to one thread, and end it when its parent process ends for any reason."""
    for number in (signal.SIGINT, signal.SIGTERM, *({signal.SIGUSR1} if hasattr(signal, "SIGUSR1") else ())):
        signal.signal(number, signal.SIG_IGN)  # handled by the parent process
    single_threaded(settings)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
