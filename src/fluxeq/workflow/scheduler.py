"""Scheduling: of the jobs that are ready, the heaviest is submitted as soon as a worker is free."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from graphlib import TopologicalSorter
from heapq import heappop, heappush
from itertools import groupby
from typing import Generic, TypeVar

from fluxeq.errors import InputError, JobError
from fluxeq.workflow.executors import WorkerPools, Workers
from fluxeq.workflow.job import Job

Result = TypeVar("Result")
Batch = list[Job]
"""Jobs of one group that are submitted together."""


class Queue:
    """Waiting and running batches of one set of workers."""

    def __init__(self, workers: Workers) -> None:
        self.workers, self.n_running = workers, 0
        self._heap: list[tuple[float, int, Batch]] = []

    def put(self, batch: Batch, place: int) -> None:
        """Add a batch; batches of equal weight are ordered by ``place``."""
        heappush(self._heap, (-batch[0].weight, place, batch))

    def begin(self) -> Iterator[Batch]:
        """The heaviest batches, one per free worker; the others stay queued, as heavier ones may still arrive."""
        while self._heap and self.n_running < self.workers.n:
            self.n_running += 1
            yield heappop(self._heap)[2]


class Scheduler(Generic[Result]):
    """Runs a list of jobs; ``submit`` passes a batch to an executor."""

    def __init__(
        self, jobs: Sequence[Job], pools: WorkerPools, submit: Callable[[Executor, Batch], Future[Result]]
    ) -> None:
        self._jobs = {job.name: job for job in jobs}
        self._places = {job.name: i for i, job in enumerate(jobs)}
        self._submit = submit
        self._others = Queue(pools.others)
        self._learning = self._others if pools.learning is pools.others else Queue(pools.learning)
        self._running: dict[Future[Result], Batch] = {}
        self._order = TopologicalSorter({job.name: [need for need in job.needs if need in self._jobs] for job in jobs})
        self._order.prepare()

    def results(self) -> Iterator[tuple[Batch, Result]]:
        """Run all jobs; yields each batch with its result when it ends. Errors of a job are raised with its name."""
        while self._order.is_active():
            self.ready()
            self.submit()
            yield from self.finish()

    def ready(self) -> None:
        """Queue the jobs whose dependencies are done; jobs of one group in batches of the size the workers allow."""
        jobs = sorted((self._jobs[name] for name in self._order.get_ready()), key=lambda job: self._places[job.name])
        for _, group in groupby(jobs, key=lambda job: job.group or job.name):
            some = list(group)
            queue = self._queue(some[0])
            for i in range(0, len(some), queue.workers.jobs_together):
                queue.put(some[i : i + queue.workers.jobs_together], self._places[some[i].name])

    def submit(self) -> None:
        """Submit batches to free workers."""
        for queue in (self._learning, self._others):
            for batch in queue.begin():
                self._running[self._submit(queue.workers.executor, batch)] = batch

    def finish(self) -> Iterator[tuple[Batch, Result]]:
        """Wait for a batch to end; yields all batches that have ended with their results."""
        for future in wait(self._running, return_when=FIRST_COMPLETED).done:
            batch = self._running.pop(future)
            try:
                result = future.result()
            except (InputError, JobError) as error:
                name = batch[0].name if len(batch) == 1 else batch[0].group
                raise type(error)(f"{name}: {error}") from error
            yield batch, result
            self._queue(batch[0]).n_running -= 1
            self._order.done(*(job.name for job in batch))

    def _queue(self, job: Job) -> Queue:
        return self._learning if job.work.learns else self._others
