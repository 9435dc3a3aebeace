"""Jobs on a Dask cluster, an existing one or local processes. Needs ``fluxeq[dask]``.

Dask resubmits a job when its worker dies, up to ``distributed.scheduler.allowed-failures`` times;
``execution.run_exclusively`` prevents copies of a job from running at the same time.
"""

import ctypes
import logging
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from fluxeq.errors import ClusterLostError, InputError, WorkerLostError
from fluxeq.workflow.executors import LOST, ONE_THREAD, Workers, children_ignore_signals, single_threaded

SCHEDULER_PATIENCE = 10
"""Seconds to wait for an answer of the scheduler."""
WORKER_PATIENCE = 60
"""Seconds to wait for the first worker."""
GLIBC_LIMITS = {-3: 2**25, -1: 2**26}
"""M_MMAP_THRESHOLD and M_TRIM_THRESHOLD of malloc.h in bytes: the maxima of glibc's dynamic adjustment."""


class Cluster(Executor):
    """Executor for the workers of a Dask client, each of which runs one job at a time."""

    def __init__(self, client: Any) -> None:
        self._pool = client.get_executor(pure=False)

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **settings: Any) -> Future[Any]:
        """Call the function on a worker."""
        future: Future[Any] = self._pool.submit(on_worker, pickle.dumps((function, arguments, settings)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for all submitted calls, or cancel them."""
        self._pool.shutdown(wait and not cancel_futures)


def joined(scheduler: str) -> AbstractContextManager[Workers]:
    """Connect to the cluster of the scheduler at this address.

    Raises InputError if the scheduler does not answer or has no workers; ClusterLostError, in the block, if it is lost.
    """
    distributed = _distributed()
    try:
        client = distributed.Client(scheduler, timeout=SCHEDULER_PATIENCE, set_as_default=False)
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"scheduler {scheduler!r}: does not answer ({reason}); start one with 'dask scheduler', or leave it out"
        ) from None
    try:
        client.wait_for_workers(1, timeout=WORKER_PATIENCE)
    except TimeoutError:
        client.close()
        raise InputError(
            f"scheduler {scheduler!r}: has no worker after {WORKER_PATIENCE} s; "
            f"start one: dask worker {scheduler} --nthreads 1"
        ) from None
    return _used(client)


def own(n_workers: int) -> AbstractContextManager[Workers]:
    """Start a cluster of processes on this machine, which ends with the block."""
    return _started(_distributed(), n_workers)


@contextmanager
def _started(distributed: Any, n_workers: int) -> Iterator[Workers]:
    with children_ignore_signals():
        cluster = distributed.LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            processes=True,
            memory_limit=0,
            dashboard_address="127.0.0.1:0",  # else two clusters compete for one port
            silence_logs=logging.CRITICAL,
        )
    with cluster, _used(distributed.Client(cluster, set_as_default=False)) as pool:
        yield pool


@contextmanager
def _used(client: Any) -> Iterator[Workers]:
    from distributed import KilledWorker

    address = client.scheduler.address
    with client:
        pool = Cluster(client)
        try:
            yield Workers(pool)
        except CancelledError:
            raise ClusterLostError(f"lost the scheduler at {address}; run the same command again to resume") from None
        except KilledWorker:  # at every attempt
            raise WorkerLostError(LOST) from None
        finally:
            pool.shutdown(wait=False)


def on_worker(call: bytes) -> Any:
    """Call a function in a worker as in a process of ``executors``; it is unpickled and imported only here.

    Raises InputError if the worker is unsuitable.
    """
    from distributed import get_worker

    worker = get_worker()
    if worker.state.nthreads != 1:
        raise InputError(f"worker {worker.address}: has {worker.state.nthreads} threads; start it with --nthreads 1")
    if "jax" in sys.modules and not ONE_THREAD.keys() <= os.environ.keys():
        raise InputError(f"worker {worker.address}: has used JAX with other settings; start a new one for this run")
    single_threaded()
    keep_memory()
    function, arguments, settings = pickle.loads(call)
    return function(*arguments, **settings)


def keep_memory() -> None:
    """Let this process keep freed memory, up to the default limits of glibc.

    Dask's nannies return it to the system at once (``MALLOC_TRIM_THRESHOLD_``), so that every training step has to
    allocate it again (docs/log.md).
    """
    with suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, limit in GLIBC_LIMITS.items():
            mallopt(parameter, limit)


def _distributed() -> Any:
    """The package ``distributed``. Raises InputError if it is not installed."""
    try:
        import distributed
    except ImportError:
        raise InputError(
            "executor 'dask': the package distributed is not installed; run 'pip install distributed'"
        ) from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    return distributed
