"""A real Dask scheduler and workers, in separate processes on the loopback interface."""

import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from distributed import Client

from fluxeq.workflow.executors import ONE_THREAD


@contextmanager
def scheduler(folder):
    """The address of a scheduler on a free port, which writes into the folder."""
    file = folder / "scheduler.json"
    words = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
    with _process(words, folder) as process:
        while not file.exists():
            assert process.poll() is None, (folder / "dask.log").read_text()
            time.sleep(0.05)
        with Client(scheduler_file=str(file), set_as_default=False) as client:
            address = client.scheduler.address
        yield address


@contextmanager
def worker(address, folder, n_threads=1):
    """A worker of that scheduler."""
    words = ["worker", address, "--host", "127.0.0.1", "--nthreads", str(n_threads), "--no-dashboard"]
    with _process([*words, "--local-directory", str(folder), "--name", f"worker-{time.monotonic_ns()}"], folder) as it:
        yield it


def kill(process, address):
    """Kill a worker with SIGKILL while it runs a job; returns its number of jobs."""
    name, deadline = process.args[-1], time.monotonic() + 60
    with Client(address, set_as_default=False) as client:
        while time.monotonic() < deadline:
            [victim] = [url for url, about in client.scheduler_info()["workers"].items() if about["id"] == name]
            jobs = client.processing(workers=[victim])[victim]
            if jobs:
                os.killpg(process.pid, signal.SIGKILL)
                return len(jobs)
            time.sleep(0.01)
    return 0


def environment():
    """The environment variables that a job sees in its process."""
    return {name: os.environ.get(name) for name in ONE_THREAD}


def pages_fetched():
    """The number of page faults for a hundred successive arrays of one megabyte."""
    np.ones(2**17)  # lets glibc adapt to this size
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        np.ones(2**17)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def use_jax():
    """Import JAX without the settings of a job, or rather another module under its name."""
    sys.modules["jax"] = sys
    for name in ONE_THREAD:
        os.environ.pop(name, None)


@contextmanager
def _process(words, folder):
    """``dask`` with these arguments, as the leader of a process group that ends with the block."""
    command = [sys.executable, "-m", "dask", *words]
    path = os.pathsep.join(filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))))
    environ = {**os.environ, "PYTHONPATH": path}
    with (folder / "dask.log").open("a") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, cwd=folder, env=environ)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
