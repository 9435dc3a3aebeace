"""Copies of one job, and parts of one: who waits for whom."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from fluxeq.errors import InputError
from fluxeq.files import write_json
from fluxeq.studies import jobs


@pytest.fixture
def record(tmp_path):
    path = tmp_path / "train.a.json"
    write_json(path, {"fingerprint": "f", "done": False})
    return path


@pytest.mark.parametrize(("only", "at_once"), [(([0], [0]), 1), (([0], [1]), 2)], ids=["copies", "parts"])
def test_copies_wait_for_each_other_and_parts_do_not(record, tmp_path, monkeypatch, only, at_once):
    """Two of them are given away; how many work at the same time."""
    working, seen = [], []

    def train(run, only):
        working.append(only)
        deadline = time.monotonic() + 0.5
        while len(working) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        seen.append(len(working))
        working.remove(only)

    monkeypatch.setitem(jobs.KINDS, "train", train)
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(jobs.work, tmp_path, "train", {"only": part}, "f", record) for part in only]
        assert [future.result() for future in futures] == [None, None]
    assert (len(seen), max(seen)) == (2, at_once)


def test_a_job_that_has_got_other_settings_meanwhile(record, tmp_path, monkeypatch):
    monkeypatch.setitem(jobs.KINDS, "train", lambda run: pytest.fail("it worked"))
    with pytest.raises(InputError, match="has got other settings meanwhile"):
        jobs.work(tmp_path, "train", {}, "of an earlier start", record)
