"""Where jobs run: processes on this machine, behind the interface of ``concurrent.futures``."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import wait

from fluxeq.errors import InputError

ONE_THREAD = {
    "JAX_PLATFORMS": "cpu",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NPROC": "1",  # threads of XLA
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false --xla_backend_optimization_level=1",
}
"""Jobs run side by side, so each keeps to one thread; a setting of the user's own stays.

Level 1 compiles a third faster than the default, and the compiled steps are as fast (docs/log.md)."""


def require_executor(name: str) -> None:
    """Raise InputError for a name that this installation does not have."""
    if name != "local":
        raise InputError(f"executor {name!r}: this version runs on one machine; leave --executor out")


@contextmanager
def executor(name: str, n_workers: int) -> Iterator[Executor]:
    """An executor by name. Raises InputError for a name that this installation does not have."""
    require_executor(name)
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(n_workers, mp_context=context, initializer=start_worker)
    try:
        yield pool
    except BaseException:
        for process in list(pool._processes.values()):
            process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)
        raise
    pool.shutdown()


def start_worker() -> None:
    """Keep this process to one thread, and end it when the one that started it ends, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that gave the work
    for name, value in ONE_THREAD.items():
        os.environ.setdefault(name, value)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
