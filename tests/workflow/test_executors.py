"""Processes that do jobs, and what becomes of their errors."""

import errno
import os
import pickle

import pytest

from fluxeq import errors
from fluxeq.errors import InputError, JobError, WorkerLostError
from fluxeq.runs import jobs
from fluxeq.runs.plan import Job
from fluxeq.runs.run import timed
from fluxeq.workflow.executors import MOST_WORKERS, n_processors, processes, require_executor
from fluxeq.workflow.records import mark, record


def test_a_worker_that_is_killed_is_told_in_one_line():
    with pytest.raises(WorkerLostError) as lost, processes(1) as pool:
        pool.submit(os._exit, 9).result(timeout=120)
    assert str(lost.value).startswith("a worker process was killed, by the system if memory ran out; the same command")
    assert "\n" not in str(lost.value)


KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_our_errors_go_from_one_process_to_another(kind):
    found = pickle.loads(pickle.dumps(kind("why")))
    assert (type(found), str(found)) == (kind, "why")


class StubbornError(Exception):
    """Cannot be made again from what pickle keeps of it."""

    def __init__(self, where, why):
        super().__init__(f"{why} in {where}")


@pytest.mark.parametrize(
    ("raised", "kind", "told"),
    [
        (
            StubbornError("a", "b"),
            JobError,
            r"a fault of fluxeq: StubbornError\('b in a'\) in test_executors\.py:\d+; please",
        ),
        (KeyError("x"), JobError, r"a fault of fluxeq: KeyError\('x'\)"),
        (OSError(errno.ENOSPC, "No space left on device", "e.h5"), OSError, "No space left on device: 'e.h5'"),
        (MemoryError(), MemoryError, "^$"),
        (InputError("too cold"), InputError, "too cold"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_job_raises_comes_whole_out_of_its_process(monkeypatch, tmp_path, raised, kind, told):
    def fail(run):
        raise raised

    job = Job("claims", "claims", {}, ("claims.json",))
    (tmp_path / ".jobs").mkdir()
    mark(tmp_path, job, "fingerprint", done=False)
    monkeypatch.setitem(jobs.KINDS, "claims", fail)
    with pytest.raises(kind, match=told) as found:
        timed(tmp_path, "claims", {}, "fingerprint", record(tmp_path, job))
    again = pickle.loads(pickle.dumps(found.value))
    assert (type(again), str(again)) == (kind, str(found.value))
    assert "\n" not in str(again)
    assert getattr(again, "errno", None) == getattr(raised, "errno", None)


def test_the_number_of_workers_has_a_limit():
    require_executor("local", n_workers=MOST_WORKERS * n_processors())
    for name in ("local", "dask"):
        with pytest.raises(InputError, match=r"workers = \d+: at most 8 for each of the \d+ processors here"):
            require_executor(name, n_workers=MOST_WORKERS * n_processors() + 1)
