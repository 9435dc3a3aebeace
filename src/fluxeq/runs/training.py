"""Training of instances of one architecture on data files; models that exist in the output folder are kept."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path

from fluxeq.errors import DivergedError
from fluxeq.runs.jobs import Examples, Train
from fluxeq.study.family import FixedNetwork
from fluxeq.system.files import remove_unfinished_of
from fluxeq.training.recipe import Recipe
from fluxeq.workflow.executors import Fleet, processes
from fluxeq.workflow.job import Job, Work
from fluxeq.workflow.scheduler import Batch, Scheduler

Progress = Callable[[int, int, str], None]
"""Called with the number of finished instances, their total number, and the latest one."""


def train_files(
    examples: Examples,
    architecture: str,
    network: FixedNetwork,
    recipe: Recipe,
    augmentation: bool,
    n_instances: int,
    seed: int,
    output: Path,
    n_workers: int,
    progress: Progress = lambda done, total, last: None,
) -> list[Path]:
    """Train the instances missing in ``output``, in single-threaded processes; returns the paths of all models.

    Results do not depend on which process trains an instance. Raises the errors of ``train_instances``; DivergedError
    only after all other instances have been trained.
    """
    works = [
        Train(
            examples=examples,
            architecture=architecture,
            augmentation=augmentation,
            network=network,
            recipe=recipe,
            seed=seed,
            instance=instance,
            output=str(output),
        )
        for instance in range(n_instances)
    ]
    _remove_unfinished(output, architecture)
    jobs = [Job(Path(work.model).stem, work, (work.model,)) for work in works]
    try:
        with processes(min(n_workers, n_instances)) as workers:
            diverged = _work_off(jobs, Fleet(workers, workers), progress)
    except BaseException:  # the processes were killed at any point
        _remove_unfinished(output, architecture)
        raise
    if diverged:
        others = f" (and {len(diverged) - 1} other instances)" if len(diverged) > 1 else ""
        raise DivergedError(f"{diverged[0]}{others}")
    return [Path(work.model) for work in works]


def _remove_unfinished(output: Path, architecture: str) -> None:
    """Remove temporary files of models, curves and checkpoints left by killed processes."""
    stem = architecture.rpartition(":")[2]
    for suffix in (".safetensors", ".csv", ".checkpoint"):
        remove_unfinished_of(output / (stem + suffix), "-*")


def _work_off(jobs: list[Job], fleet: Fleet, progress: Progress) -> list[DivergedError]:
    """Run all jobs; returns the errors of diverged trainings."""

    def submit(executor: Executor, batch: Batch) -> Future[DivergedError | None]:
        return executor.submit(_attempt, batch[0].work)

    diverged = []
    for n, (batch, error) in enumerate(Scheduler(jobs, fleet, submit).results(), 1):
        progress(n, len(jobs), batch[0].name)
        diverged += [error] if error else []
    return diverged


def _attempt(work: Work) -> DivergedError | None:
    """Train an instance in this process; returns the error if it diverged, so that the others are still trained."""
    with work.watched():
        try:
            work.run(Path())
        except DivergedError as error:
            return error
    return None
