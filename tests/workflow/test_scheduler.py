"""The scheduler, on empty jobs: what is submitted when, in which batches, to whom."""

import os
from concurrent.futures import Executor, Future
from contextlib import nullcontext

import pytest

from fluxeq.errors import InputError
from fluxeq.workflow.executors import WorkerPools, Workers, processes, worker_pools
from fluxeq.workflow.job import Job, Work
from fluxeq.workflow.scheduler import Scheduler


class Other(Work, kind="other"):
    pass


class Learning(Work, kind="learning", learns=True):
    pass


class Held(Executor):
    """Keeps submitted jobs until it is told to end them."""

    def __init__(self):
        self.given = []

    def end(self, error=None):
        future = self.given.pop(0)[0]
        future.set_exception(error) if error else future.set_result(None)


def submit(executor, batch):
    future = Future()
    executor.given.append((future, [job.name for job in batch]))
    return future


def job(name, *needs, learns=False, group="", weight=1.0):
    return Job(name, Learning() if learns else Other(), (name,), needs, group=group, weight=weight)


def begin(scheduler):
    scheduler.ready()
    scheduler.submit()


def given(executor):
    return [names for _, names in executor.given]


def test_a_job_begins_when_all_that_it_needs_is_done():
    """Including those of an earlier run."""
    held = Held()
    workers = Workers(held)
    jobs = [job("a"), job("b"), job("c", "a", "b"), job("d", "c", "of an earlier run")]
    scheduler = Scheduler(jobs, WorkerPools(workers, workers), submit)
    for expected in ([["a"], ["b"]], [["b"]], [["c"]], [["d"]]):
        begin(scheduler)
        assert given(held) == expected
        held.end()
        assert [result for _, result in scheduler.finish()] == [None]
    assert list(scheduler.results()) == []


def test_of_those_that_could_begin_the_heaviest_does():
    """One at a time; a job that has just become ready may precede waiting ones."""
    held = Held()
    workers = Workers(held, 1)
    jobs = [
        job("light"),
        job("data", weight=5.0),
        job("scores", "data", weight=9.0),
        job("equal"),
        job("heavy", weight=3.0),
    ]
    scheduler, order = Scheduler(jobs, WorkerPools(workers, workers), submit), []
    while len(order) < len(jobs):
        begin(scheduler)
        (names,) = given(held)
        order += names
        held.end()
        list(scheduler.finish())
    assert order == ["data", "scores", "heavy", "light", "equal"]


@pytest.mark.parametrize(("together", "batches"), [(1, [1, 1, 1, 1]), (2, [2, 1, 1]), (9, [3, 1])])
def test_jobs_of_a_group_go_together_as_far_as_the_workers_take_them(together, batches):
    held = Held()
    workers = Workers(held, jobs_together=together)
    scheduler = Scheduler(
        [*(job(f"a{i}", group="a") for i in range(3)), job("b")], WorkerPools(workers, workers), submit
    )
    begin(scheduler)
    assert [len(names) for names in given(held)] == batches


def test_what_learns_goes_to_its_own_workers():
    gpu, others = Held(), Held()
    jobs = [job(name, learns=name < "c") for name in "abcde"]
    scheduler = Scheduler(jobs, WorkerPools(Workers(others, 2), Workers(gpu, 1)), submit)
    begin(scheduler)
    assert (given(gpu), given(others)) == ([["a"]], [["c"], ["d"]])


@pytest.mark.parametrize(("n", "named"), [(1, "a0"), (2, "a")])
def test_what_a_job_refuses_is_told_with_its_name(n, named):
    held = Held()
    workers = Workers(held, jobs_together=9)
    scheduler = Scheduler([job(f"a{i}", group="a") for i in range(n)], WorkerPools(workers, workers), submit)
    begin(scheduler)
    held.end(InputError("too cold"))
    with pytest.raises(InputError, match=f"^{named}: too cold"):
        list(scheduler.finish())


def environment():
    return {name: os.environ.get(name) for name in ("JAX_PLATFORMS", "PREALLOCATE", "XLA_FLAGS")}


@pytest.mark.parametrize("fails", [False, True])
def test_one_process_has_the_gpu(monkeypatch, fails):
    """With an environment of its own, until the end of the block; other processes do not see one."""
    for name in environment():
        monkeypatch.delenv(name, raising=False)
    gpu = {"JAX_PLATFORMS": "cuda,cpu", "PREALLOCATE": "false"}
    with pytest.raises(KeyboardInterrupt) if fails else nullcontext(), worker_pools(processes(1), gpu) as both:
        found = [workers.executor.submit(environment).result() for workers in (both.learning, both.others)]
        [process] = both.learning.executor._processes.values()
        if fails:
            raise KeyboardInterrupt
    assert found[0] == gpu | {"XLA_FLAGS": ""}
    assert (found[1]["JAX_PLATFORMS"], found[1]["PREALLOCATE"]) == ("cpu", None)
    assert not process.is_alive()
