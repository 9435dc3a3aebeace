"""Training: fluxeq against PyTorch loops in one run, the fraction of peak performance, and the cost of a step.

``python -m benchmarks.training`` in the root of the repository, in an environment with PyTorch (``pip install
torch==2.14.1``, needed only here, and a C++ compiler for ``torch.compile``). ``--threads 1`` corresponds to one job of
a study, ``--processes 2`` adds a second process with the same load, as in a study on two cores; ``--device cuda`` uses
a GPU. ``--only`` selects one part; ``together`` compares ten instances in one call with ten one after another, in
PyTorch and in fluxeq, and with ten on all cores of the CPU. The costs are drawn in docs/training_cost.png.

Networks are small ones of two and three layers with the batch sizes of ``quick`` and of the original study, and those
in ``models/``, from ``laptop``. Data are random, since speed does not depend on them. Eager PyTorch, ``torch.compile``
and fluxeq are timed in alternation, an epoch and its validation each; the result is the median ratio of the faster
PyTorch time to that of fluxeq.
"""

import argparse
import math
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.tables import keep

PICTURE, MODELS = Path("docs/training_cost.png"), Path("models")
N_PAIRS = 7
N_LOOKS = 15  # the fastest counts, in measurements of the machine itself
INSTANCES = 10


class Case(NamedTuple):
    """One network with its data and batch size."""

    name: str
    task: str
    architecture: str
    settings: dict[str, Any]
    shape: tuple[int, ...]
    n: int
    batch: int


def blocks(*layers: tuple[int, int, int], **others: Any) -> dict[str, Any]:
    """Settings of a network from (channels, kernel, stride) of its blocks."""
    named = [{"channels": channels, "kernel": kernel, "stride": stride} for channels, kernel, stride in layers]
    return {"blocks": named, **others}


REGRESSION, WORMS = ((16, 2, 1), (16, 1, 1), (16, 1, 1)), ((16, 2, 1), (16, 1, 1))
STRIDED = ((16, 2, 2), (16, 1, 1), (16, 1, 1))
CASES = [
    Case("EQ", "regression", "EQ", blocks(*REGRESSION), (60, 4), 500, 10),
    Case("ST", "regression", "ST", blocks(*STRIDED), (60, 4), 500, 10),
    Case("FL", "regression", "FL", blocks(*STRIDED, dense=[]), (60, 4), 500, 10),
    Case("EQ", "detection", "EQ", blocks(*WORMS, global_pooling="maximum"), (8, 8), 2000, 20),
    Case("ST", "detection", "ST", blocks((16, 2, 2), (16, 1, 1), global_pooling="maximum"), (8, 8), 2000, 20),
    Case("FL", "detection", "FL", blocks(*WORMS, dense=[]), (8, 8), 2000, 20),
    Case("EQ", "regression", "EQ", blocks(*REGRESSION), (60, 4), 1000, 100),
    Case("ST", "regression", "ST", blocks(*STRIDED), (60, 4), 1000, 100),
    Case("FL", "regression", "FL", blocks(*STRIDED, dense=[]), (60, 4), 1000, 100),
]


LARGE = Case("64 ch.", "regression", "EQ", blocks((64, 3, 1), (64, 2, 1)), (60, 4), 1000, 100)


def winners() -> list[Case]:
    """The networks in ``models/``, from ``laptop``, with the protocol's batch size of 100."""
    from fluxeq.training.models import load_model

    cases = []
    for path in sorted(MODELS.glob("*.safetensors")):
        found = load_model(path).description
        name = f"{found.architecture} winner"
        cases.append(Case(name, found.task, found.architecture, found.config, found.shape, 1000, 100))
    return cases


def main() -> None:
    """Measure, print and store all numbers; draw the costs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--processes", type=int, default=1, help="simultaneous comparisons, one of which counts")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--only", choices=("compare", "together", "roofline", "costs", "parts"))
    given = parser.parse_args()
    set_threads(given.threads)
    from fluxeq.training.device import Device

    Device(given.device).use()
    parts = {
        "compare": lambda: compare(given.device, given.threads, given.processes),
        "together": lambda: compare_together(given.device, given.threads),
        "roofline": roofline,
        "costs": lambda: draw(costs()),
        "parts": compare_parts,
    }
    for name, part in parts.items():
        if given.only in (None, name):
            part()


def set_threads(n: int) -> None:
    """Set the number of threads; must precede the import of JAX, which reads it."""
    eigen = "true" if n > 1 else "false"
    os.environ |= {"NPROC": str(n), "OMP_NUM_THREADS": str(n), "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={eigen}"}


def compare(device: str, threads: int, n_processes: int) -> None:
    """Compare an epoch with its validation in PyTorch and fluxeq."""
    for case in CASES + winners():
        runs, n_parameters = all_ways(case, device, threads)
        with busy(n_processes - 1, case, device, threads):
            timed_all = in_turns(runs)
        where = {"device": device, "threads": threads, "processes": n_processes, "parameters": n_parameters}
        keep("pytorch", {**label(case), **where, **timed_all}, 8)


def all_ways(case: Case, device: str, threads: int) -> tuple[dict[str, Callable[[], Any]], int]:
    """Functions that run an epoch in eager PyTorch, compiled PyTorch and fluxeq; and the number of parameters."""
    from benchmarks.pytorch import torch_epoch, use_threads

    use_threads(threads)
    ours, n_parameters = fluxeq_epoch(case)
    eager, compiled = (torch_epoch(case, n_parameters, device, compiled=compiled) for compiled in (False, True))
    return {"pytorch": eager, "compiled": compiled, "fluxeq": ours}, n_parameters


@contextmanager
def busy(n_processes: int, case: Case, device: str, threads: int) -> Iterator[None]:
    """Keep other processes busy with the same load during this block."""
    spawn = multiprocessing.get_context("spawn")
    begun = spawn.Semaphore(0)
    given = begun, case, device, threads
    others = [spawn.Process(target=compare_always, args=given) for _ in range(n_processes)]
    for other in others:
        other.start()
    for _ in others:
        begun.acquire()
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.join()


def compare_always(begun: Any, case: Case, device: str, threads: int) -> None:
    """Run all of them in alternation until this process is killed."""
    from fluxeq.training.device import Device

    Device(device).use()
    runs, _ = all_ways(case, device, threads)
    begun.release()
    while True:
        for run in runs.values():
            run()


def compare_together(device: str, threads: int) -> None:
    """Compare instances of an EQ network: on all cores of the CPU; and in PyTorch, fluxeq and together, on a device."""
    from benchmarks.pytorch import torch_epoch, use_threads

    case, where = CASES[6], {"threads": threads, "instances": INSTANCES}
    n_cores = len(os.sched_getaffinity(0))
    keep("on_cores", {**label(case), "instances": INSTANCES, "cores": n_cores, "fluxeq_ms": on_all_cores(case)}, 6)
    use_threads(threads)
    one, n_parameters = fluxeq_epoch(case)
    eager, compiled = (torch_epoch(case, n_parameters, device, compiled=how) for how in (False, True))
    one_by_one = {"pytorch": eager, "compiled": compiled, "fluxeq": one}
    runs = {**{name: repeated(run) for name, run in one_by_one.items()}, "together": together(case, INSTANCES)}
    keep("together", {**label(case), "device": device, **where, **in_turns(runs)}, 7)


def on_all_cores(case: Case) -> float:
    """Milliseconds for an epoch of all instances, in single-threaded processes side by side."""
    n, spawn = min(INSTANCES, len(os.sched_getaffinity(0))), multiprocessing.get_context("spawn")
    with spawn.Manager() as manager, ProcessPoolExecutor(n, spawn) as processes:
        ready = manager.Barrier(n, timeout=300)
        slowest = max(processes.map(epochs_on_a_core, [case] * n, [ready] * n))
    return 1e3 * slowest * math.ceil(INSTANCES / n)


def epochs_on_a_core(case: Case, ready: Any) -> float:
    """Median seconds of an epoch while the other processes run as well."""
    set_threads(1)
    from fluxeq.training.device import Device

    Device("cpu").use()
    run, _ = fluxeq_epoch(case)
    ready.wait()
    return sorted(timed(run) for _ in range(N_LOOKS))[N_LOOKS // 2]


def repeated(run: Callable[[], Any]) -> Callable[[], Any]:
    """A function that runs an epoch of every instance, one after another."""
    return lambda: [run() for _ in range(INSTANCES)]


def compare_parts() -> None:
    """Compare the steps of an epoch with batches split to fit the caches, and with whole batches."""
    for case in [case for case in CASES + winners() if case.task == "regression" and case.batch == 100] + [LARGE]:
        parted = trainer_of(case, validation=False)
        with whole_batches():
            whole, _ = fluxeq_epoch(case, validation=False)
        parts, _ = fluxeq_epoch(case, validation=False)
        keep("parts", {**label(case), "parts": parted.problem.n_parts, **in_turns({"whole": whole, "parts": parts})}, 4)


@contextmanager
def whole_batches() -> Iterator[None]:
    """Trainers created in this block do not split batches."""
    from fluxeq.training import problem

    before, problem.CACHED = problem.CACHED, math.inf
    try:
        yield
    finally:
        problem.CACHED = before


def roofline() -> None:
    """Operations and bytes of a training step, absolute and as fractions of the measured peaks of this machine."""
    import jax

    from fluxeq.training.batched import Batched
    from fluxeq.training.epoch import steps

    products, copies = peaks()
    peak = {"peak_gflop_a_second": products / 1e9, "peak_gb_a_second": copies / 1e9}
    for case in CASES:
        with whole_batches():  # XLA counts operations in loops only once
            trainer = trainer_of(case)
        state = trainer.begin(1).state
        rows = jax.numpy.arange(case.batch)[None]
        arguments = state, rows, jax.random.split(state.key, 1), 1, 1, *Batched(trainer.problem).data[0]
        compiled = jax.jit(partial(steps, trainer.problem)).lower(*arguments).compile()
        found = compiled.cost_analysis()
        assert found is not None  # available on a CPU and a GPU
        n_bytes, n_operations, in_products = found["bytes accessed"], found["flops"], product_operations(case)
        n_steps = case.n // case.batch
        seconds = fastest(fluxeq_epoch(case, validation=False)[0]) / n_steps
        counted = {
            "mflop": n_operations / 1e6,
            "in_products": in_products / n_operations,
            "mb": n_bytes / 1e6,
            "ms": seconds * 1e3,
            "gflop_a_second": n_operations / seconds / 1e9,
            "gb_a_second": n_bytes / seconds / 1e9,
            "of_peak_product": n_operations / seconds / products,
            "of_peak_copy": n_bytes / seconds / copies,
        }
        keep("roofline", {**label(case), **counted, **peak}, 4)


def peaks() -> tuple[float, float]:
    """Operations per second of a large float32 matrix product, and bytes per second of a copy exceeding all caches."""
    import jax
    import jax.numpy as jnp

    n = 1024
    square = jnp.ones((n, n), jnp.float32)
    product = jax.jit(lambda a: jnp.matmul(a, a, precision=jax.lax.Precision.HIGHEST))
    long = jnp.ones(2**25, jnp.float32)
    copy = jax.jit(lambda a: a + 1)
    found = []
    for function, argument in ((product, square), (copy, long)):
        function(argument).block_until_ready()
        run = lambda function=function, argument=argument: function(argument).block_until_ready()  # noqa: E731
        found.append(fastest(run))
    return 2 * n**3 / found[0], 2 * long.nbytes / found[1]


def product_operations(case: Case) -> int:
    """Operations in the matrix products of a step: forward, gradients of weights and of all inputs but the first."""
    sites, channels, total = math.prod(case.shape), 2 * len(case.shape), 0
    for i, block in enumerate(case.settings["blocks"]):
        sites //= block["stride"] ** len(case.shape)
        total += (3 if i else 2) * 2 * sites * block["kernel"] ** len(case.shape) * channels * block["channels"]
        channels = block["channels"]
    n_features = channels * sites if case.architecture == "FL" else channels
    return case.batch * (total + 3 * 2 * n_features * n_targets(case))


def costs() -> Any:
    """Microseconds of a training step per configuration and instance, against volume, channels and instances."""
    sweeps = {
        "volume": [((extent, extent), 16, 1) for extent in (8, 16, 32, 64)],
        "channels": [((16, 16), channels, 1) for channels in (4, 8, 16, 32, 64)],
        "instances": [((16, 16), 16, instances) for instances in (1, 2, 5, 10)],
    }
    for quantity, points in sweeps.items():
        for shape, channels, instances in points:
            settings = blocks((channels, 2, 1), (channels, 1, 1), (channels, 1, 1))
            case = Case("EQ", "regression", "EQ", settings, shape, 100, 10)
            epoch = together(case, instances) if instances > 1 else fluxeq_epoch(case)[0]
            cost = fastest(epoch) / (case.n * instances) * 1e6
            value = {"volume": math.prod(shape), "channels": channels, "instances": instances}[quantity]
            table = keep("training_cost", {"quantity": quantity, "value": value, "microseconds": cost}, 2)
    return table


def draw(table: Any) -> None:
    """Draw the costs."""
    from matplotlib.figure import Figure

    from fluxeq.report.figures.canvas import save, styled

    @styled
    def picture(table: Any) -> Figure:
        figure = Figure(figsize=(10, 3.6), layout="constrained")
        names = {"volume": "sites of the lattice", "channels": "channels", "instances": "instances in one call"}
        panels = figure.subplots(1, 3)
        for axes, (quantity, part) in zip(panels, table.groupby("quantity", sort=False), strict=True):
            axes.plot(part["value"], part["microseconds"], "o-")
            axes.set(xscale="log", yscale="log", xlabel=names[quantity])
            axes.set_xticks(part["value"], part["value"].astype(str))
            axes.xaxis.minorticks_off()
        panels[-1].set(yscale="linear", ylim=(0, 1.2 * part["microseconds"].max()))
        panels[0].set(ylabel="microseconds of a training step\nfor a configuration and instance")
        return figure

    save(picture(table), PICTURE)


def timed(run: Callable[[], Any]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def fastest(run: Callable[[], Any]) -> float:
    """Seconds of the fastest of several calls."""
    return min(timed(run) for _ in range(N_LOOKS))


def in_turns(runs: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Median times in milliseconds of functions timed in alternation.

    Also median, minimum and maximum of the ratio of the fastest of the others to the last one.
    """
    rounds = [[timed(run) for run in runs.values()] for _ in range(N_PAIRS)]
    ratios = sorted(min(others) / last for *others, last in rounds)
    medians = [sorted(column)[N_PAIRS // 2] * 1e3 for column in zip(*rounds, strict=True)]
    ratio = {"ratio": ratios[N_PAIRS // 2], "least": ratios[0], "most": ratios[-1]}
    return {**{f"{name}_ms": median for name, median in zip(runs, medians, strict=True)}, **ratio}


def label(case: Case) -> dict[str, Any]:
    """The four columns that identify a case."""
    return {"network": case.name, "task": case.task, "shape": "x".join(map(str, case.shape)), "batch": case.batch}


def n_targets(case: Case) -> int:
    """Number of outputs of the network."""
    return 2 if case.task == "regression" else 1


def trainer_data(case: Case, *, validation: bool = True) -> Any:
    """Random training data, and a tenth as many for validation."""
    import numpy as np

    from fluxeq.tasks.task import TASKS
    from fluxeq.training.datasets import Data, Dataset

    rng = np.random.default_rng(1)

    def made(n: int) -> Dataset:
        x = rng.integers(-2, 3, (n, 2 * len(case.shape), *case.shape)).astype(np.int8)
        return Dataset(TASKS[case.task], x, rng.integers(0, 2, (n, n_targets(case))).astype(np.float32), np.arange(n))

    return Data(made(case.n), made(case.n // 10 if validation else 1))


def trainer_of(case: Case, *, validation: bool = True) -> Any:
    """A trainer on random data."""
    from fluxeq.nets.architecture import configured
    from fluxeq.training.device import Device
    from fluxeq.training.fit import Trainer
    from fluxeq.training.recipe import Recipe

    recipe = Recipe(epochs=1000000, patience=1000000, batch_size=case.batch, learning_rate=1e-3)
    config = configured(case.architecture, case.settings, case.shape)
    return Trainer(trainer_data(case, validation=validation), config, recipe, device=Device.here())


def fluxeq_epoch(case: Case, *, validation: bool = True) -> tuple[Callable[[], Any], int]:
    """A function that runs a compiled epoch of fluxeq, and the number of parameters."""
    trainer = trainer_of(case, validation=validation)
    state = trainer.begin(1).state

    def epoch() -> None:
        nonlocal state
        state, losses = trainer.alone.epoch(state)
        [float(loss) for loss in losses]

    epoch()
    return epoch, trainer.n_parameters


def together(case: Case, n_instances: int) -> Callable[[], Any]:
    """A function that runs an epoch of several instances together."""
    import jax
    import jax.numpy as jnp

    from fluxeq.training.batched import Batched, one_epoch

    trainer = trainer_of(case)
    data = Batched(trainer.problem).data
    states = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(trainer.begin(i).state for i in range(n_instances)))
    advance = jax.jit(partial(one_epoch, trainer.problem))

    def epoch() -> None:
        nonlocal states
        states, losses = advance(states, *data)
        jax.block_until_ready(losses)

    epoch()
    return epoch


if __name__ == "__main__":
    main()
