"""Unit costs of the parts of a study on this machine, extrapolated to a study on a thousand GPUs.

``python -m benchmarks.unit_costs`` in the root of the repository measures the numbers in docs/how-to/speed.md. Costs
are CPU time of this process, so that other load does not count, except for Dask, where tasks wait for each other; those
of configurations come from the table of ``benchmarks.volume``. The second table follows from the first one and the
assumptions below.
"""

import itertools
import math
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import optuna

from benchmarks.tables import keep, read
from fluxeq.data.ensembles import save_ensemble
from fluxeq.data.generation import sample
from fluxeq.lattice import shape_name
from fluxeq.nets.architecture import configured
from fluxeq.searching.space import Space
from fluxeq.searching.storage import open_storage
from fluxeq.searching.suggestion import suggest
from fluxeq.theory import Theory
from fluxeq.training.datasets import load_data
from fluxeq.training.evaluation import outputs
from fluxeq.training.fit import Trainer
from fluxeq.training.recipe import Recipe
from fluxeq.workflow.executors import single_threaded
from fluxeq.workflow.selection import workers

THEORY = Theory(4.01, 1.0, 1.05)
SHAPES = ((64, 64), (256, 256), (1024, 1024))
NETWORK = {"blocks": [{"channels": 16, "kernel": kernel} for kernel in (2, 1, 1)]}
TRIALS = (100, 1000)
N_TASKS = 300
N_LOOKS = 8  # the fastest counts

SHAPE = (1024, 1024)  # the plan
N_CONFIGURATIONS = 10**9
N_TRIALS, REPEATS, EPOCHS, N_EXAMPLES = 10**5, 3, 30, 1000
N_GPUS, CORES_A_GPU = 1000, 100
"""The second number is an assumption: the number of these cores that one GPU replaces. No GPU was measured."""
DISK_RATE = 100e9  # bytes per second; an assumption: a large parallel file system


class Prices(NamedTuple):
    """Measured unit costs: CPU seconds, and bytes."""

    move: float
    configuration: dict[int, float]  # per independent configuration, by number of sites
    stored: float  # bytes per site
    example: float  # per site, one training step of one example
    scored: float  # per site
    trial: dict[int, float]  # by number of existing trials
    task: float


def main() -> None:
    """Measure, extrapolate, print and store."""
    single_threaded()  # for all worker processes
    with workers("local", 1) as (pool, *_):
        prices = pool.submit(measured).result()
    prices = prices._replace(task=task_overhead())  # last, since Dask leaves settings in the environment
    show("measured", rows(prices))
    show("extrapolated", plan(prices))


def measured() -> Prices:
    """All costs but that of a task, in a process like those of the jobs of a study."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        move, configuration = sampled()
        stored, example, scored = learned(folder)
        trial = {n: asked(folder / f"{n}.log", n) for n in TRIALS}
        return Prices(move, configuration, stored, example, scored, trial, task=0.0)


def sampled() -> tuple[float, dict[int, float]]:
    """Seconds per step of a head on the planned lattice, and per independent configuration by number of sites."""
    table = read("volume")  # from benchmarks.volume
    table = table[table["mu"] == THEORY.mu].set_index("extent")
    configuration = {extent**2: ms / 1e3 for extent, ms in table["ms_an_independent_configuration"].items()}
    return table["ns_a_step"][SHAPE[0]] / 1e9, {math.prod(shape): configuration[math.prod(shape)] for shape in SHAPES}


def learned(folder: Path) -> tuple[float, float, float]:
    """Bytes per stored site; seconds per site for an example in a training step, and for a scored configuration."""
    files = [folder / "training.h5", folder / "validation.h5"]
    ensembles = [sample(THEORY, (32, 32), n, seed=seed) for seed, n in enumerate((200, 20))]
    for path, ensemble in zip(files, ensembles, strict=True):
        save_ensemble(path, ensemble)
    data = load_data("regression", files[:1], files[1:])
    marks: list[float] = []
    trainer = Trainer(data, configured("EQ", NETWORK, (32, 32)), Recipe(epochs=N_LOOKS, batch_size=10))
    network, _ = trainer.fit(1, lambda epoch: marks.append(time.process_time()))
    sites = 200 * 32 * 32
    configurations = ensembles[0].configurations
    outputs(network, configurations)  # compiles
    scores = [time.process_time()]
    for _ in range(N_LOOKS):
        outputs(network, configurations)
        scores.append(time.process_time())
    with h5py.File(files[0]) as file:
        stored = file["configurations"].id.get_storage_size() / sites
    return stored, fastest(marks) / sites, fastest(scores) / sites


def fastest(marks: list[float]) -> float:
    """The shortest interval between two marks: the work without interruptions."""
    return min(b - a for a, b in itertools.pairwise(marks))


def asked(journal: Path, n_trials: int) -> float:
    """Seconds to propose and store one more trial after ``n_trials``."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rng, space = np.random.default_rng(1), Space()
    study = optuna.create_study(storage=open_storage(str(journal)), sampler=optuna.samplers.RandomSampler(1))

    def propose() -> None:
        trial = study.ask()
        suggest(trial, "EQ", space)
        study.tell(trial, float(rng.random()))

    for _ in range(n_trials):
        propose()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.sampler = optuna.samplers.TPESampler(multivariate=True, group=True, seed=1)
    marks = [time.process_time()]
    for _ in range(N_LOOKS):
        propose()
        marks.append(time.process_time())
    return fastest(marks)


def task_overhead() -> float:
    """Seconds per empty task on a Dask cluster with one worker."""
    with workers("dask", 1) as (pool, *_):
        pool.submit(int).result()
        start = time.perf_counter()
        for future in [pool.submit(int) for _ in range(N_TASKS)]:
            future.result()
        return (time.perf_counter() - start) / N_TASKS


def rows(prices: Prices) -> Iterator[tuple[str, str]]:
    """The measured unit costs."""
    yield f"a move of the worm, {shape_name(SHAPE)}", quantity(prices.move)
    for sites, seconds in prices.configuration.items():
        extent = math.isqrt(sites)
        yield f"an independent configuration, {extent}x{extent}", quantity(seconds)
    yield "a stored site (k and l in both directions, compressed)", f"{prices.stored:.2f} bytes"
    yield "a training step, for each example and site", quantity(prices.example)
    yield "a scored configuration, for each site", quantity(prices.scored)
    for n, seconds in prices.trial.items():
        yield f"proposing and keeping a trial in a journal that holds {n}", quantity(seconds)
    yield "a Dask task, over and above its work", quantity(prices.task)


def plan(prices: Prices) -> Iterator[tuple[str, str]]:
    """The cost of the plan."""
    n_sites = math.prod(SHAPE)
    configuration = prices.configuration[n_sites]
    yield from shares("sampling all of them", N_CONFIGURATIONS * configuration)
    size = N_CONFIGURATIONS * n_sites * prices.stored
    yield "storing them", f"{size / 1e15:.2f} PB"
    yield "reading them once", quantity(size / DISK_RATE)
    yield from shares("scoring them once", N_CONFIGURATIONS * n_sites * prices.scored)
    training = EPOCHS * N_EXAMPLES * n_sites * prices.example
    yield "one training", f"{quantity(training)} of a core, {quantity(training / CORES_A_GPU)} of a GPU"
    yield from shares("all trials", N_TRIALS * REPEATS * training)
    (few, cheap), (many, dear) = prices.trial.items()
    rate = (dear - cheap) / (many - few)
    yield "proposing the last trial", quantity(cheap + rate * (N_TRIALS - few))
    yield "proposing all trials, one after another", quantity(N_TRIALS * cheap + rate * N_TRIALS**2 / 2)
    pause = REPEATS * training / CORES_A_GPU / N_GPUS
    yield "a GPU asks for its next trial, one of them every", quantity(pause)
    yield "trials after which proposing one takes longer than that", f"{few + (pause - cheap) / rate:.0f}"
    yield "giving away all trainings as Dask tasks", quantity(N_TRIALS * REPEATS * prices.task)
    chain = 8 * n_sites  # one word per site
    yield "memory of one chain", f"{chain / 2**20:.0f} MiB, {2**36 // chain} of them in 64 GiB"
    layer = n_sites * NETWORK["blocks"][0]["channels"] * 4
    yield "memory of one layer of one example", f"{layer / 2**20:.0f} MiB"


def shares(what: str, seconds: float) -> Iterator[tuple[str, str]]:
    """Work in core years, and in days on all GPUs."""
    days = seconds / CORES_A_GPU / N_GPUS / 86400
    yield what, f"{seconds / 86400 / 365:.3g} years of a core, {days:.3g} days of {N_GPUS} GPUs"


def quantity(seconds: float) -> str:
    """A time in a suitable unit."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60), ("s", 1), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def show(title: str, found: Iterator[tuple[str, str]]) -> None:
    """Print and store one line per quantity."""
    for name, value in found:
        keep("unit_costs", {"table": title, "what": name, "value": value}, 2)


if __name__ == "__main__":
    main()
