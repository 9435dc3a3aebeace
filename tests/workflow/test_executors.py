"""Worker processes, and how their errors are passed on."""

import os
import pickle

import pytest

from fluxeq import errors
from fluxeq.errors import InputError, WorkerLostError
from fluxeq.system.capacity import n_processors
from fluxeq.workflow.executors import processes
from fluxeq.workflow.selection import MOST_WORKERS, require_workers


def test_a_worker_that_is_killed_is_told_in_one_line():
    with pytest.raises(WorkerLostError) as lost, processes(1) as workers:
        workers.executor.submit(os._exit, 9).result(timeout=120)
    assert str(lost.value).startswith("a worker process was killed, possibly for lack of memory; run the same command")
    assert "\n" not in str(lost.value)


KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_our_errors_go_from_one_process_to_another(kind):
    found = pickle.loads(pickle.dumps(kind("why")))
    assert (type(found), str(found)) == (kind, "why")


def test_the_number_of_workers_has_a_limit():
    require_workers("local", n_workers=MOST_WORKERS * n_processors())
    for name in ("local", "dask"):
        with pytest.raises(InputError, match=r"workers = \d+: must be at most 8 for each of the \d+ processors here"):
            require_workers(name, n_workers=MOST_WORKERS * n_processors() + 1)
