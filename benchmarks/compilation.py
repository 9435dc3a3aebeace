"""Fraction of a search spent on compilation, for the searches of a study, on random data.

``python -m benchmarks.compilation [STUDY [TASK ARCHITECTURE]]`` in the root of the repository. The default STUDY is
``quick``, whose short searches have the largest fraction; a search of ``laptop`` takes some minutes. Every search runs
in its own process with the settings of a job, first with an empty cache of compiled functions, then with a filled one.
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
"""Run the search in this process."""


def main(study: str = "quick", *only: str) -> None:
    """One row per search and state of the cache."""
    for task, architecture in [only] if only else SEARCHES:
        with tempfile.TemporaryDirectory() as folder:
            for cache in ("empty", "filled"):
                command = [sys.executable, "-m", "benchmarks.compilation", study, task, architecture, ONCE]
                environment = {**os.environ, "FLUXEQ_CACHE": folder}
                found = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout
                where = {"study": study, "task": task, "architecture": architecture, "cache": cache}
                keep("compilation", {**where, **json.loads(found)}, 4)


def search_once(study: str, task: str, architecture: str) -> None:
    """Run one search; print as JSON its seconds, those of each compilation stage, and their fraction of the total."""
    from fluxeq.workflow.executors import ONE_THREAD

    for name, value in ONE_THREAD.items():
        os.environ.setdefault(name, value)
    import optuna

    from benchmarks.training import Case, trainer_data
    from fluxeq.searching.search import Problem, search
    from fluxeq.study.study import load_study
    from fluxeq.training.compiled import keep_compiled, stopwatch

    keep_compiled()
    of_task = load_study(study).tasks[task]
    settings = of_task.search
    assert settings is not None  # the shipped studies have searches
    data = trainer_data(Case("", task, architecture, {}, of_task.shape, settings.n_training, 1))
    given = settings.space, settings.recipe, settings.trials, settings.repeats, 7
    start = time.perf_counter()
    with stopwatch() as stages:
        search(Problem(data, architecture, *given), optuna.storages.InMemoryStorage(), "search")
    total = time.perf_counter() - start
    print(json.dumps({"seconds": total, **stages, "share": sum(stages.values()) / total}))


if __name__ == "__main__":
    search_once(*sys.argv[1:-1]) if sys.argv[-1] == ONCE else main(*sys.argv[1:])
