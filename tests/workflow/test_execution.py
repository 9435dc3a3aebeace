"""Jobs in a folder: who waits for whom, what is logged, and how errors are passed on."""

import errno
import json
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from fluxeq.errors import InputError, JobError
from fluxeq.system.files import locked
from fluxeq.workflow.execution import run_exclusively, run_jobs
from fluxeq.workflow.executors import WorkerPools, Workers
from fluxeq.workflow.job import Job, Work, fingerprints
from fluxeq.workflow.records import is_done, lock, mark, missing, prepare


class Noted(Work, kind="noted"):
    """Creates a file."""

    name: str

    @classmethod
    @contextmanager
    def watched(cls):
        yield {"thinking": 4.0}

    def run(self, folder: Path) -> None:
        (folder / self.name).write_text(self.name)


class Intermediate(Noted, kind="noted", intermediate=True):
    pass


def noted(name, *needs, kind=Noted, **about):
    return Job(name, kind(name=name), (name,), needs, **about)


@pytest.fixture
def job(tmp_path):
    """A job that was prepared for the fingerprint f."""
    (tmp_path / ".jobs").mkdir()
    found = noted("a")
    mark(tmp_path, found, "f", done=False)
    return found


@pytest.mark.parametrize(("names", "at_once"), [("aa", 1), ("ab", 2)], ids=["copies", "others"])
def test_copies_wait_for_each_other_and_others_do_not(job, tmp_path, monkeypatch, names, at_once):
    """Two jobs are submitted; the number that run at the same time is counted."""
    working, seen = [], []

    def run(work, folder):
        working.append(work)
        deadline = time.monotonic() + 0.5
        while len(working) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        seen.append(len(working))
        working.remove(work)

    monkeypatch.setattr(Noted, "run", run)
    mark(tmp_path, noted("b"), "f", done=False)
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(run_exclusively, tmp_path, [noted(name)], ["f"]) for name in names]
        assert [future.result().parts for future in futures] == [{"thinking": 4.0}] * 2
    assert (len(seen), max(seen)) == (2, at_once)


def test_a_job_that_has_got_other_settings_meanwhile(job, tmp_path):
    with pytest.raises(InputError, match="a: its settings have changed meanwhile"):
        run_exclusively(tmp_path, [job], ["of an earlier start"])
    assert not (tmp_path / "a").exists()


def test_a_job_of_another_version_that_is_still_at_work(job, tmp_path):
    """Its files are not touched; once it has ended, they are removed for this version."""
    (tmp_path / "a").write_text("")
    (tmp_path / "a.parts").mkdir()
    changed = noted("a", byproducts=("a.parts",))
    with locked(lock(tmp_path, "a")), pytest.raises(InputError, match="still running a of another version"):
        prepare(tmp_path, changed, "g")
    assert (tmp_path / "a").exists()
    prepare(tmp_path, changed, "f")
    assert (tmp_path / "a").exists()
    prepare(tmp_path, changed, "g")
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "a.parts").exists()


def test_a_list_of_jobs(tmp_path):
    """Run, marked, logged and reported, a group in one batch; a change affects all that depends on it."""
    jobs = [noted("a", kind=Intermediate), *(noted(name, "a", group="g") for name in ("b", "c")), noted("d", "b", "c")]
    found, told = fingerprints(jobs), []
    with ThreadPoolExecutor(1) as pool:
        workers = Workers(pool, 1, 9)
        run_jobs(tmp_path, jobs[1:], found, WorkerPools(workers, workers), jobs, told.append)
    done = [(event.job.name, event.n_done, event.n_jobs) for event in told if event.job]
    assert done == [("b", 2, 4), ("c", 3, 4), ("d", 4, 4)]
    assert [[*event.running] for event in told] == [["b", "c"], ["c"], [], ["d"], []]
    assert told[0].seconds_left > told[-1].seconds_left == 0
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(line["job"], line["fingerprint"], line["thinking"]) for line in lines] == [
        ("b", found["b"], 2.0),
        ("c", found["c"], 2.0),
        ("d", found["d"], 4.0),
    ]
    assert missing(tmp_path, jobs, found) == []  # although a does not exist
    assert not is_done(tmp_path, jobs[0], found["a"])
    (tmp_path / "c").write_text("damaged")
    assert [job.name for job in missing(tmp_path, jobs, found)] == ["a", "c"]
    changed = [jobs[0], noted("b", "a", weight=3.0), *jobs[2:]]
    assert fingerprints(changed) == found
    changed[1] = Job("b", Noted(name="other"), ("b",), ("a",))
    assert [job.name for job in missing(tmp_path, changed, fingerprints(changed))] == ["a", "b", "c", "d"]


class StubbornError(Exception):
    """It cannot be reconstructed from its pickle."""

    def __init__(self, where, why):
        super().__init__(f"{why} in {where}")


@pytest.mark.parametrize(
    ("raised", "kind", "told"),
    [
        (
            StubbornError("a", "b"),
            JobError,
            r"a bug in fluxeq: StubbornError\('b in a'\) in test_execution\.py:\d+; please",
        ),
        (KeyError("x"), JobError, r"a bug in fluxeq: KeyError\('x'\)"),
        (OSError(errno.ENOSPC, "No space left on device", "e.h5"), OSError, "No space left on device: 'e.h5'"),
        (MemoryError(), MemoryError, "^$"),
        (InputError("too cold"), InputError, "too cold"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_job_raises_comes_whole_out_of_its_process(job, tmp_path, monkeypatch, raised, kind, told):
    def fail(work, folder):
        raise raised

    monkeypatch.setattr(Noted, "run", fail)
    with pytest.raises(kind, match=told) as found:
        run_exclusively(tmp_path, [job], ["f"])
    again = pickle.loads(pickle.dumps(found.value))
    assert (type(again), str(again)) == (kind, str(found.value))
    assert "\n" not in str(again)
    assert getattr(again, "errno", None) == getattr(raised, "errno", None)
