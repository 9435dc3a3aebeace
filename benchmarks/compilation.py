"""The share of a search that goes into compiling: those of a study, on made-up data.

``python -m benchmarks.compilation [STUDY]`` in the root of the repository, STUDY ``quick`` unless given, whose short
searches compile most; those of ``laptop`` take an hour. Every search runs in a process of its own with the
settings of a job, first with an empty cache of compiled functions, then with what that one has left there.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict

SEARCHES = [("regression", "EQ"), ("regression", "FL"), ("detection", "EQ")]
PARTS = {
    "compiling": "/jax/core/compile/backend_compile_duration",
    "tracing": "/jax/core/compile/jaxpr_trace_duration",
    "lowering": "/jax/core/compile/jaxpr_to_mlir_module_duration",
}


def main(study: str = "quick") -> None:
    """One line a search and state of the cache."""
    print("search           cache   seconds  compiling  tracing  lowering   share of all three")
    for task, architecture in SEARCHES:
        with tempfile.TemporaryDirectory() as folder:
            for cache in ("empty", "filled"):
                command = [sys.executable, "-m", "benchmarks.compilation", study, task, architecture]
                environment = {**os.environ, "FLUXEQ_CACHE": folder}
                found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
                print(f"{task:10} {architecture:5} {cache:7}{found.strip()}", flush=True)


def search_once(study: str, task: str, architecture: str) -> None:
    """Do one search; print its seconds, those of the parts, and their share."""
    from fluxeq.studies.executors import ONE_THREAD

    for name, value in ONE_THREAD.items():
        os.environ.setdefault(name, value)
    import jax.monitoring
    import optuna

    from benchmarks.training import Case, trainer_data
    from fluxeq.search.search import search
    from fluxeq.studies.study import load_study
    from fluxeq.training.compiled import keep_compiled

    seconds: dict[str, float] = defaultdict(float)

    def note(event: str, duration: float, **_: object) -> None:
        seconds[event] += duration

    jax.monitoring.register_event_duration_secs_listener(note)
    keep_compiled()
    of_task = getattr(load_study(study), task)
    settings = of_task.search
    data = trainer_data(Case("", task, architecture, {}, of_task.shape, settings.n_training, 1))
    storage = optuna.storages.InMemoryStorage()
    given = settings.space, settings.recipe, settings.trials, settings.repeats, 7, storage, "search"
    start = time.perf_counter()
    search(data, architecture, *given)
    total = time.perf_counter() - start
    parts = [seconds[event] for event in PARTS.values()]
    print(f"{total:9.1f} {parts[0]:10.1f} {parts[1]:8.1f} {parts[2]:9.1f} {sum(parts) / total:10.0%}")


if __name__ == "__main__":
    search_once(*sys.argv[1:]) if len(sys.argv) > 2 else main(*sys.argv[1:])
