"""Which process does which job beside a GPU, without one."""

import os
from concurrent.futures import Future
from contextlib import nullcontext

import pytest

from fluxeq.runs.jobs import KINDS
from fluxeq.workflow import gpu_process as gpu
from fluxeq.workflow.executors import Processes


class Recorder:
    """An executor that only notes what it is given."""

    def __init__(self):
        self.submitted = []

    def submit(self, function, *arguments):
        self.submitted.append((function, *arguments))
        return Future()


def test_trainings_go_to_the_process_with_the_gpu():
    held, others = Recorder(), Recorder()
    pool = gpu.WithGPU(held, others)
    for kind in KINDS:
        pool.submit(print, "run", kind, {})
    assert {arguments[2] for arguments in held.submitted} == {"search", "train"}
    assert {arguments[2] for arguments in others.submitted} == KINDS.keys() - {"search", "train"}


def test_each_of_the_two_says_whether_it_has_room():
    """The process with the GPU does one job at a time, the others are not in its way; a cluster takes any number."""
    pool = gpu.WithGPU(Processes(1), Processes(2))
    assert pool.has_room("train", ["sample", "worms"])
    assert not pool.has_room("search", ["train"])
    assert pool.has_room("sample", ["train", "worms"])
    assert not pool.has_room("sample", ["evaluate", "worms"])
    assert gpu.WithGPU(Processes(1), Recorder()).has_room("sample", ["sample"] * 100)


def environment(run, kind):
    return {name: os.environ.get(name) for name in ("JAX_PLATFORMS", "XLA_PYTHON_CLIENT_PREALLOCATE", "XLA_FLAGS")}


@pytest.mark.parametrize("fails", [False, True])
def test_that_process_sees_the_gpu_and_ends(monkeypatch, fails):
    for name in environment(None, None):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(KeyboardInterrupt) if fails else nullcontext(), gpu.with_gpu(nullcontext(Recorder())) as pool:
        found = pool.submit(environment, "run", "train").result()
        [process] = pool._gpu._processes.values()
        if fails:
            raise KeyboardInterrupt
    assert found == {"JAX_PLATFORMS": "cuda,cpu", "XLA_PYTHON_CLIENT_PREALLOCATE": "false", "XLA_FLAGS": ""}
    assert not process.is_alive()
