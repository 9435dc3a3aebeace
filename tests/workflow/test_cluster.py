"""Requests to a cluster, and errors if it is unavailable; whole runs on one are in tests/runs/test_reproduce.py."""

import os
import sys
import time
from contextlib import ExitStack

import pytest
from dask import config

import dask_processes as dask
from fluxeq.errors import ClusterLostError, InputError, WorkerLostError
from fluxeq.workflow import cluster
from fluxeq.workflow.executors import ONE_THREAD
from fluxeq.workflow.selection import workers


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    with dask.scheduler(tmp_path_factory.mktemp("dask")) as address:
        yield address


def test_a_job_finds_one_thread_and_no_trace_of_another(scheduler, tmp_path, monkeypatch):
    """As in a local process; a worker that cannot guarantee this is refused."""
    monkeypatch.delenv("XLA_FLAGS")  # what a user has set remains
    with dask.worker(scheduler, tmp_path):
        with workers("dask", 1, scheduler) as (pool, *_):
            assert pool.submit(dask.environment).result() == ONE_THREAD
            pool.submit(dask.use_jax).result()
            with pytest.raises(InputError, match="has used JAX with other settings; start a new one"):
                pool.submit(dask.environment).result()
        with workers("local", 1) as (pool, *_):
            assert pool.submit(dask.environment).result() == ONE_THREAD


def test_a_job_keeps_memory_for_the_next_step(scheduler, tmp_path):
    """Dask has freed memory returned immediately; then there would be 256 page faults per array."""
    with dask.worker(scheduler, tmp_path), workers("dask", 1, scheduler) as (pool, *_):
        assert pool.submit(dask.pages_fetched).result() < 1000


def test_a_job_that_kills_its_workers():
    """By default Dask submits it again several times, here never."""
    lost = pytest.raises(WorkerLostError, match="a worker process was killed")
    with config.set({"distributed.scheduler.allowed-failures": 0}), lost, workers("dask", 1) as (pool, *_):
        pool.submit(os._exit, 9).result(timeout=120)


def test_a_worker_with_threads(scheduler, tmp_path):
    refused = pytest.raises(InputError, match="has 2 threads; start it with --nthreads 1")
    with dask.worker(scheduler, tmp_path, n_threads=2), workers("dask", 1, scheduler) as (pool, *_), refused:
        pool.submit(dask.environment).result()


def test_a_scheduler_without_workers(scheduler, monkeypatch):
    monkeypatch.setattr(cluster, "WORKER_PATIENCE", 0.2)
    with pytest.raises(InputError, match=r"has no worker after 0.2 s; start one: dask worker tcp"):
        workers("dask", 1, scheduler)


def test_no_scheduler(monkeypatch):
    monkeypatch.setattr(cluster, "SCHEDULER_PATIENCE", 0.5)
    with pytest.raises(InputError, match="does not answer") as failed:
        workers("dask", 1, "tcp://127.0.0.1:1")
    assert "\n" not in str(failed.value)


def test_a_scheduler_that_goes(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "SCHEDULER_PATIENCE", 1)
    there = ExitStack()
    address = there.enter_context(dask.scheduler(tmp_path))
    there.enter_context(dask.worker(address, tmp_path))
    with (
        pytest.raises(ClusterLostError, match=r"lost the scheduler at .*; run the same command again"),
        workers("dask", 1, address) as (pool, *_),
    ):
        submitted_and_lost(pool, there)


def submitted_and_lost(pool, there):
    future = pool.submit(time.sleep, 60)
    there.close()
    return future.result(timeout=30)


def test_dask_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match="distributed is not installed; run 'pip install distributed'"):
        workers("dask", 1)
