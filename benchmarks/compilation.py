"""The share of a search that goes into compiling: those of a study, on made-up data.

``python -m benchmarks.compilation [STUDY [TASK ARCHITECTURE]]`` in the root of the repository, STUDY ``quick`` unless
given, whose short searches compile most; one of ``laptop`` takes some minutes. Every search runs in a process of its
own with the settings of a job, first with an empty cache of compiled functions, then with what that one has left there.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

from benchmarks.tables import keep

SEARCHES = [("regression", "EQ"), ("regression", "FL"), ("detection", "EQ")]
ONCE = "--once"
"""Do the search here."""


def main(study: str = "quick", *only: str) -> None:
    """A row for each search and state of the cache."""
    for task, architecture in [only] if only else SEARCHES:
        with tempfile.TemporaryDirectory() as folder:
            for cache in ("empty", "filled"):
                command = [sys.executable, "-m", "benchmarks.compilation", study, task, architecture, ONCE]
                environment = {**os.environ, "FLUXEQ_CACHE": folder}
                found = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout
                where = {"study": study, "task": task, "architecture": architecture, "cache": cache}
                keep("compilation", {**where, **json.loads(found)}, 4)


def search_once(study: str, task: str, architecture: str) -> None:
    """Do one search; print its seconds, those of the parts, and their share, as JSON."""
    from fluxeq.workflow.executors import ONE_THREAD

    for name, value in ONE_THREAD.items():
        os.environ.setdefault(name, value)
    import optuna

    from benchmarks.training import Case, trainer_data
    from fluxeq.searching.search import search
    from fluxeq.study.study import load_study
    from fluxeq.training.compiled import keep_compiled, stopwatch

    keep_compiled()
    of_task = load_study(study).tasks[task]
    settings = of_task.search
    assert settings is not None  # the shipped studies search
    data = trainer_data(Case("", task, architecture, {}, of_task.shape, settings.n_training, 1))
    storage = optuna.storages.InMemoryStorage()
    given = settings.space, settings.recipe, settings.trials, settings.repeats, 7, storage, "search"
    start = time.perf_counter()
    with stopwatch() as stages:
        search(data, architecture, *given)
    total = time.perf_counter() - start
    print(json.dumps({"seconds": total, **stages, "share": sum(stages.values()) / total}))


if __name__ == "__main__":
    search_once(*sys.argv[1:-1]) if sys.argv[-1] == ONCE else main(*sys.argv[1:])
