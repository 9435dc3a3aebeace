"""Estimated time left for a list of jobs: expected costs, scaled by measured times.

Expected costs are rough and machines differ, so they are scaled by the times measured so far for the same kind of job,
in the same section if there are any.
"""

from collections.abc import Iterable, Mapping

from fluxeq.workflow.job import Job

Key = tuple[str, ...]


class Forecast:
    """Estimates the seconds left for jobs on ``n_workers`` workers, given the times ``before`` of earlier jobs."""

    def __init__(self, jobs: Iterable[Job], before: Mapping[str, float | None], n_workers: float) -> None:
        self._left: dict[str, Job] = {}
        self._expected: dict[Key, float] = {}
        self._measured: dict[Key, float] = {}
        self._n_workers = n_workers
        for job in jobs:
            self._left[job.name] = job
            if job.name in before:
                self.done(job, before[job.name])

    def done(self, job: Job, seconds: float | None) -> None:
        """Take a finished job into account."""
        del self._left[job.name]
        if seconds is None:
            return
        for key in _keys(job):
            self._expected[key] = self._expected.get(key, 0.0) + job.work.cost
            self._measured[key] = self._measured.get(key, 0.0) + seconds

    def seconds(self, running: Mapping[str, float]) -> float:
        """Seconds until all jobs are done, given how long some have been running."""
        each = [max(0.0, self._of(job) - running.get(name, 0.0)) for name, job in self._left.items()]
        return max([sum(each) / self._n_workers, *each])

    def _of(self, job: Job) -> float:
        key = next((key for key in _keys(job) if key in self._expected), None)
        return job.work.cost * (1.0 if key is None else self._measured[key] / self._expected[key])


def _keys(job: Job) -> list[Key]:
    """Groups of jobs over which times are averaged, narrowest first: kind and section, kind, all."""
    section = job.name.partition("/")[2].partition("-")[0]
    return [(job.kind, section), (job.kind,), ()]
