"""Jobs on a machine with a GPU: one process holds it and does the trainings one after another, all others beside it."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from fluxeq.training.device import Device
from fluxeq.workflow.executors import ONE_THREAD, has_room, processes, start_worker

LEARNING = ("search", "train")
"""Kinds of jobs that a GPU is for."""


class WithGPU(Executor):
    """An executor beside which one process holds the GPU."""

    def __init__(self, gpu: Executor, others: Executor) -> None:
        self._gpu, self._others = gpu, others

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        """Submit what ``run`` does: a function of the folder, the kind and the settings of a job."""
        return self._for(arguments[1]).submit(function, *arguments, **options)

    def has_room(self, kind: str, running: Sequence[str]) -> bool:
        """Whether that of the two which does such jobs would begin it at once."""
        pool = self._for(kind)
        return has_room(pool, kind, [other for other in running if self._for(other) is pool])

    def _for(self, kind: str) -> Executor:
        return self._gpu if kind in LEARNING else self._others


@contextmanager
def with_gpu(others: AbstractContextManager[Executor]) -> Iterator[Executor]:
    """The executor with a further process, which holds the GPU."""
    with others as pool, processes(1, start_gpu_worker) as gpu:
        yield WithGPU(gpu, pool)


def start_gpu_worker() -> None:
    """Let JAX find the GPU in this process; all else is as in other workers."""
    flags = {"XLA_FLAGS": ""}  # those of other workers are for a CPU
    start_worker({**ONE_THREAD, **Device("cuda").environment, **flags})
