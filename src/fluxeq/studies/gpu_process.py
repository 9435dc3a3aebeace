"""Jobs on a machine with a GPU: one process holds it and does the trainings one after another, all others beside it."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from fluxeq.studies.executors import processes, start_worker
from fluxeq.training.devices import ON_GPU

LEARNING = ("search", "train")
"""Kinds of jobs that a GPU is for."""


class WithGPU(Executor):
    """An executor beside which one process holds the GPU."""

    def __init__(self, gpu: Executor, others: Executor) -> None:
        self._gpu, self._others = gpu, others

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        """Submit what ``run`` does: a function of the folder, the kind and the settings of a job."""
        pool = self._gpu if arguments[1] in LEARNING else self._others
        return pool.submit(function, *arguments, **options)


@contextmanager
def with_gpu(others: AbstractContextManager[Executor]) -> Iterator[Executor]:
    """The executor with a further process, which holds the GPU."""
    with others as pool, processes(1, start_gpu_worker) as gpu:
        yield WithGPU(gpu, pool)


def start_gpu_worker() -> None:
    """Let JAX find the GPU in this process; all else is as in other workers."""
    for name, value in {**ON_GPU, "XLA_FLAGS": ""}.items():  # the flags of other workers are for a CPU
        os.environ.setdefault(name, value)
    start_worker()
