"""The instances of one architecture, trained on some files into a folder: those that are there are kept."""

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from pathlib import Path

from fluxeq.errors import DivergedError
from fluxeq.runs.jobs import Examples, Train
from fluxeq.study.family import FixedNetwork
from fluxeq.system.files import remove_unfinished_of, write_text
from fluxeq.training.epoch import Reached
from fluxeq.training.recipe import Recipe
from fluxeq.workflow.executors import Fleet, processes
from fluxeq.workflow.job import Job, Work
from fluxeq.workflow.scheduler import Batch, Scheduler

Progress = Callable[[int, int, str], None]
"""Called with how many instances are done, of how many, and where those are that are being trained."""
RUNNING = ".running"
"""Ends the name of the file in which a process says how far a training is, as long as it lasts."""
TOLD = 2.0
"""Seconds between two looks at these."""


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
    """Train the instances that ``output`` does not hold yet, in processes of one thread; the paths of all models.

    Which process trains an instance changes nothing. Raises what ``train_instances`` raises: DivergedError after all
    others have been trained.
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
            tell = lambda n_done: progress(n_done, n_instances, in_words(_told(output, architecture)))  # noqa: E731
            diverged = _work_off(jobs, Fleet(workers, workers), tell)
    except BaseException:  # the processes were killed, wherever they were
        _remove_unfinished(output, architecture)
        raise
    if diverged:
        others = f" (and {len(diverged) - 1} other instances)" if len(diverged) > 1 else ""
        raise DivergedError(f"{diverged[0]}{others}")
    return [Path(work.model) for work in works]


def in_words(reached: Collection[Reached]) -> str:
    """The latest losses of a training, or the range of those of several."""
    losses = [at.validation for at in reached]
    if len(losses) > 1:
        return f"validation loss {min(losses):.1e} to {max(losses):.1e} of {len(losses)} trainings"
    return "".join(f"validation loss {at.validation:.1e}, training {at.training:.1e}" for at in reached)


def _remove_unfinished(output: Path, architecture: str) -> None:
    """Remove what killed processes left of models, curves and checkpoints."""
    stem = architecture.rpartition(":")[2]
    for suffix in (".safetensors", ".csv", ".checkpoint"):
        remove_unfinished_of(output / (stem + suffix), "-*")
    for path in _running(output, architecture):
        path.unlink(missing_ok=True)


def _work_off(jobs: list[Job], fleet: Fleet, tell: Callable[[int], None]) -> list[DivergedError]:
    """Do all jobs; what the trainings raise that diverged. How many are done is told now and then."""

    def submit(executor: Executor, batch: Batch) -> Future[DivergedError | None]:
        return executor.submit(_attempt, batch[0].work)

    n_done = 0
    diverged: list[DivergedError] = []
    with _repeated(lambda: tell(n_done)):
        for n_done, (_, error) in enumerate(Scheduler(jobs, fleet, submit).results(), 1):
            diverged += [error] if error else []
            tell(n_done)
    return diverged


@contextmanager
def _repeated(tell: Callable[[], None]) -> Iterator[None]:
    """Call it now and then while the block runs, in another thread."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(TOLD):
            tell()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _attempt(work: Work) -> DivergedError | None:
    """Train an instance in this process; the error if it diverged, so that the others are trained."""
    assert isinstance(work, Train)
    model, told = Path(work.model), time.monotonic()
    place = model.with_name(f".{model.stem}{RUNNING}")

    def tell(reached: Mapping[int, Reached]) -> None:
        nonlocal told
        if time.monotonic() - told >= TOLD:
            told = time.monotonic()
            with suppress(OSError):  # the training itself will say so
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
    """What processes tell of the instances that they are training; nothing of short ones."""
    found = []
    for path in _running(output, architecture):
        with suppress(OSError, TypeError, ValueError):  # it has just ended
            n, *losses = path.read_text().split()
            found.append(Reached(int(n), *map(float, losses)))
    return found


def _running(output: Path, architecture: str) -> Iterator[Path]:
    return output.glob(f".{architecture.rpartition(':')[2]}-*{RUNNING}")
