"""The log of finished jobs in a folder."""

from fluxeq.workflow.job import Job, Spent, Work
from fluxeq.workflow.log import append, entries


def test_lines_that_were_cut(tmp_path):
    """They are recognised, and do not affect other lines."""
    assert entries(tmp_path) == []
    path = tmp_path / "log.jsonl"
    for i, damage in enumerate(
        ('{"job": "a", "ti', "[1]\n", '{"job": 1, "time": "", "fingerprint": "", "seconds": 1}\n')
    ):
        with path.open("a") as file:
            file.write(damage)
        append(tmp_path, Job(f"job {i}", Work(), ()), "f", Spent(1.23456, {"compiling": 0.5}))
    found = entries(tmp_path)
    assert [entry and entry["job"] for entry in found] == [None, "job 0", None, "job 1", None, "job 2"]
    assert (found[1]["seconds"], found[1]["compiling"], found[1]["fingerprint"]) == (1.235, 0.5, "f")
