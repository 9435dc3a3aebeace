"""Training of instances of one architecture on data files; models that exist in the output folder are kept."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from pathlib import Path

from fluxeq.errors import DivergedError
from fluxeq.runs.jobs import Train
from fluxeq.system.files import remove_temporary_of, write_text
from fluxeq.system.progress import repeated
from fluxeq.training.epoch import Reached
from fluxeq.workflow.executors import WorkerPools, processes
from fluxeq.workflow.job import Job, Work
from fluxeq.workflow.scheduler import Batch, Scheduler

Progress = Callable[[int, int, str], None]
"""Called with the number of finished instances, their total number, and the losses of the running ones in words."""
RUNNING = ".running"
"""Suffix of the file to which a process writes the progress of a running training."""
TOLD = 2.0
"""Seconds between two updates of these files, and between two readings."""


def train_files(
    works: Sequence[Train], n_workers: int, progress: Progress = lambda done, total, last: None
) -> list[Path]:
    """Train the missing ones of these instances in single-threaded processes; returns the paths of all models.

    Results do not depend on which process trains an instance. If a process is killed, its temporary files are removed.
    Raises the errors of ``train_instances``; DivergedError only after all other instances have been trained.
    """
    output, architecture, n = Path(works[0].output), works[0].architecture, len(works)
    jobs = [Job(Path(work.model).stem, work, (work.model,)) for work in works]
    try:
        with processes(min(n_workers, n)) as workers:
            tell = lambda n_done: progress(n_done, n, in_words(_told(output, architecture)))  # noqa: E731
            diverged = _work_off(jobs, WorkerPools(workers, workers), tell)
    except BaseException:  # the processes were killed at any point
        remove_unfinished_trainings(output, architecture)
        raise
    if diverged:
        others = f" (and {len(diverged) - 1} other instances)" if len(diverged) > 1 else ""
        raise DivergedError(f"{diverged[0]}{others}")
    return [Path(work.model) for work in works]


def in_words(reached: Collection[Reached]) -> str:
    """The latest losses of a training, or the range of validation losses of several."""
    losses = [at.validation for at in reached]
    if len(losses) > 1:
        return f"validation loss {min(losses):.1e} to {max(losses):.1e} of {len(losses)} trainings"
    return "".join(f"validation loss {at.validation:.1e}, training {at.training:.1e}" for at in reached)


def remove_unfinished_trainings(output: Path, architecture: str) -> None:
    """Remove temporary files of models, curves and checkpoints left by killed processes; nobody else may be training.

    Checkpoints stay.
    """
    stem = architecture.rpartition(":")[2]
    for suffix in (".safetensors", ".csv", ".checkpoint"):
        remove_temporary_of(output / (stem + suffix), "-*")
    for path in _running(output, architecture):
        path.unlink(missing_ok=True)


def _work_off(jobs: list[Job], pools: WorkerPools, tell: Callable[[int], None]) -> list[DivergedError]:
    """Run all jobs; returns the errors of diverged trainings. ``tell`` is called regularly with the number done."""

    def submit(executor: Executor, batch: Batch) -> Future[DivergedError | None]:
        return executor.submit(_attempt, batch[0].work)

    n_done = 0
    diverged: list[DivergedError] = []
    with repeated(lambda: tell(n_done), TOLD):
        for n_done, (_, error) in enumerate(Scheduler(jobs, pools, submit).results(), 1):
            diverged += [error] if error else []
            tell(n_done)
    return diverged


def _attempt(work: Work) -> DivergedError | None:
    """Train an instance in this process; returns the error if it diverged, so that the others are still trained."""
    assert isinstance(work, Train)
    model, told = Path(work.model), time.monotonic()
    place = model.with_name(f".{model.stem}{RUNNING}")

    def tell(reached: Mapping[int, Reached]) -> None:
        nonlocal told
        if time.monotonic() - told >= TOLD:
            told = time.monotonic()
            with suppress(OSError):  # the training itself reports it
                write_text(place, " ".join(map(repr, reached[work.instance])))

    with work.watched():
        try:
            Train.run_many([work], Path(), tell)
        except DivergedError as error:
            return error
        finally:
            with suppress(OSError):
                place.unlink()
    return None


def _told(output: Path, architecture: str) -> list[Reached]:
    """The progress of the instances in training, as written by the processes; short trainings write none."""
    found = []
    for path in _running(output, architecture):
        with suppress(OSError, TypeError, ValueError):  # it has just finished
            n, *losses = path.read_text().split()
            found.append(Reached(int(n), *map(float, losses)))
    return found


def _running(output: Path, architecture: str) -> Iterator[Path]:
    return output.glob(f".{architecture.rpartition(':')[2]}-*{RUNNING}")
