"""The remaining time of a list of jobs."""

import pytest

from fluxeq.workflow.forecast import Forecast
from fluxeq.workflow.job import Job, Work


class Costly(Work, kind="costly"):
    seconds: float

    @property
    def cost(self):
        return self.seconds


class Cheap(Costly, kind="cheap"):
    pass


def job(name, seconds, kind=Costly):
    return Job(name, kind(seconds=seconds), ())


JOBS = [job("costly/a-1", 10), job("costly/a-2", 20), job("costly/b-1", 10), job("cheap/a-1", 1, Cheap)]


def test_costs_as_they_are():
    assert Forecast(JOBS, {}, 1).seconds({}) == 41
    assert Forecast(JOBS, {}, 2).seconds({}) == 20.5
    assert Forecast(JOBS, {}, 100).seconds({}) == 20  # the longest one
    assert Forecast([], {}, 2).seconds({}) == 0


def test_what_was_measured_corrects_them():
    """Within a section, else within a kind, else over all jobs."""
    found = Forecast(JOBS, {"costly/a-1": 30.0}, 1)
    assert found.seconds({}) == 3 * 31
    found.done(JOBS[1], 60.0)
    found.done(JOBS[3], 0.5)
    assert found.seconds({}) == 30
    assert found.seconds({"costly/b-1": 10.0}) == 20
    assert found.seconds({"costly/b-1": 100.0}) == 0


def test_sections_differ():
    found = Forecast(JOBS[:3], {"costly/a-1": 30.0, "costly/b-1": 5.0}, 1)
    assert found.seconds({}) == 60


def test_those_of_which_nothing_is_known():
    assert Forecast(JOBS, {"costly/a-1": None, "costly/a-2": None}, 1).seconds({}) == pytest.approx(11)
