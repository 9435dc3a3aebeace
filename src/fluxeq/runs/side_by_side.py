"""Instances of one architecture side by side: one process of one thread for each processor."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import cache, partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fluxeq.errors import DivergedError
from fluxeq.workflow.executors import processes, start_worker

if TYPE_CHECKING:
    from fluxeq.nets.architecture import Architecture
    from fluxeq.training.datasets import Data
    from fluxeq.training.recipe import Recipe

Files = tuple[str, tuple[Path, ...], tuple[Path, ...]]
"""Task, training data and validation data."""

LOOK = 0.5
"""Seconds between two looks at how far they are."""


def train_side_by_side(
    files: Files,
    architecture: str,
    config: "Architecture",
    recipe: "Recipe",
    augmentation: bool,
    instances: Sequence[int],
    seed: int,
    output: Path,
    n_workers: int,
    progress: Callable[[int], None],
) -> list[Path]:
    """What ``train_instances`` does; the paths of all models. ``progress`` hears the epochs of all instances.

    Which process trains an instance changes nothing. Raises what ``train_instances`` raises.
    """
    epochs = get_context("spawn").RawArray("q", max(instances) + 1)
    asked = files, architecture, config, recipe, augmentation, seed, output
    waiting, futures, running = iter(instances), [], set[Future[list[Path]]]()
    diverged: list[DivergedError] = []
    try:
        with processes(n_workers, partial(_start, epochs)) as pool:
            while True:
                # no more than begin at once: a signal to stop in the midst of a submission leaves its locks closed
                for instance in islice(waiting, n_workers - len(running)):
                    futures.append(pool.submit(_train, instance, *asked))
                    running.add(futures[-1])
                if not running:
                    break
                done, running = wait(running, timeout=LOOK, return_when=FIRST_COMPLETED)
                for future in done:
                    try:
                        future.result()  # raises what it raised
                    except DivergedError as error:
                        diverged.append(error)
                progress(sum(epochs[:]))
    except BaseException:  # the processes were killed, wherever they were
        for path in output.glob(f".{architecture}-*.unfinished*"):
            path.unlink(missing_ok=True)
        raise
    if diverged:
        others = f" (and {len(diverged) - 1} other instances)" if len(diverged) > 1 else ""
        raise DivergedError(f"{diverged[0]}{others}")
    return [path for future in futures for path in future.result()]


_epochs: Any = None
"""In a process that trains: where it says how many epochs each instance has gone through."""


@cache
def _data(files: Files) -> "Data":
    """What is read once in every process."""
    from fluxeq.training.datasets import load_data

    return load_data(*files)


def _start(epochs: Any) -> None:
    """Begin as a worker."""
    global _epochs
    _epochs = epochs
    start_worker()


def _train(
    instance: int,
    files: Files,
    architecture: str,
    config: "Architecture",
    recipe: "Recipe",
    augmentation: bool,
    seed: int,
    output: Path,
) -> list[Path]:
    """Train one instance here."""
    from fluxeq.training.compiled import keep_compiled
    from fluxeq.training.instances import train_instances

    def note(instance: int, epoch: int) -> None:
        _epochs[instance] = epoch

    keep_compiled()
    asked = _data(files), architecture, config, recipe, augmentation, [instance], seed, output
    paths = train_instances(*asked, progress=note)
    note(instance, recipe.epochs + recipe.levenberg_marquardt)
    return paths
