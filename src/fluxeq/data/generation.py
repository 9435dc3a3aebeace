"""Making ensembles: in memory, or into a file in steps that a killed run continues.

While a file is being made, its finished parts lie in a folder beside it (``e.h5.parts``), each with the state of the
chains at its end. Parts do not change the result: half a run continued by the other half is one run.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from itertools import chain as chained
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fluxeq import observables
from fluxeq.data.ensembles import Ensemble, blocks_of, closed, joined, open_ensemble, read_series, save_blocks
from fluxeq.data.goal import Goal
from fluxeq.errors import InputError
from fluxeq.sampling import chains as sampling
from fluxeq.sampling import open_worms
from fluxeq.sampling.chains import Chains, Recorder, require_chains, require_seed, require_whole
from fluxeq.sampling.devices import recorder
from fluxeq.sampling.tables import require_storable
from fluxeq.sampling.tuning import FEWEST_CHAINS, Report, Tuning, tune
from fluxeq.system.capacity import require_disk, require_memory
from fluxeq.system.files import derived_seed, locked, remove, require_writable
from fluxeq.theory import Theory

PART_BYTES = 2**25
"""Configurations made between two checkpoints; the most that a kill can lose, and that are in memory at once."""
FIRST_TURNS = 64
"""Configurations of each chain before the error is looked at for the first time; then each time half as many more."""

Progress = Callable[[int, int, str], None]
"""Called with the configurations that are made, those that are to be made, and a remark."""


class Settings(NamedTuple):
    """What fixes the content of an ensemble."""

    theory: Theory
    shape: tuple[int, ...]
    n_configurations: int
    n_chains: int
    seed: int
    start: str = ""
    """Origin of the ensemble with whose last configurations the chains start; empty lattices if there is none."""

    @property
    def n_turns(self) -> int:
        """Whole turns of all chains."""
        return self.n_configurations // self.n_chains


def sample(
    theory: Theory,
    shape: Sequence[int],
    configurations: int,
    *,
    chains: int = 4,
    seed: int = 0,
    device: str = "cpu",
    threads: int = 1,
) -> Ensemble:
    """An ensemble of independent chains, thermalised, with the spacing taken from the measured autocorrelation.

    ``device`` is cpu or cuda, ``threads`` are of the first; neither changes the result. Raises InputError for settings
    that cannot be and a device that is not there, FluxOverflowError if a flux leaves int8.
    """
    settings = Settings(theory, tuple(shape), configurations, chains, seed)
    require_settings(settings)
    require_memory(f"configurations = {configurations}", int(configurations) * 2 * len(shape) * math.prod(shape))
    record = recorder(device, threads)
    state, tuning = _thermalised(settings, None, record, lambda line: None)
    state, part = _part(settings, state, tuning, settings.n_turns, record)
    return joined([part, *_rest(settings, state, tuning, record)])


def require_settings(settings: Settings) -> None:
    """Raise InputError for a lattice, theory or number that cannot be sampled."""
    require_chains(settings.shape, settings.n_chains, settings.seed)
    require_storable(settings.theory, len(settings.shape))
    require_whole("configurations", settings.n_configurations, 1)


@contextmanager
def sole_maker(output: Path) -> Iterator[Path]:
    """The folder for the parts of a file, which is gone afterwards unless they are to be gone on with.

    Raises InputError at once if another process holds it, because it makes the same file.
    """
    folder = output.with_name(output.name + ".parts")
    lock, made = folder / "lock", [path for path in folder.parents if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        try:
            is_free = held.enter_context(locked(lock, wait=False)) and lock.exists()
        except FileNotFoundError:  # who held it has just removed the folder
            is_free = False
        except InputError:  # a file system without locks
            is_free = True
        if not is_free:
            raise InputError(f"{output}: another process is making it; wait for it, or choose another output")
        try:
            yield folder
        finally:
            with suppress(OSError):  # there are parts or the file, or another process has come for the lock
                lock.unlink()
                for path in (folder, *made):
                    path.rmdir()


def sample_to_file(
    output: Path,
    settings: Settings,
    *,
    goal: Goal | None = None,
    start: Ensemble | None = None,
    device: str = "cpu",
    threads: int = 1,
    progress: Progress = lambda *_: None,
) -> bool:
    """Make the ensemble file, or the part of it that is still missing; False if it was complete already.

    A file with fewer configurations of the same chains is extended. With a goal the file is complete, with fewer
    configurations, as soon as the error is small enough. ``start`` is the ensemble that the settings name, of the same
    lattice. Raises InputError if the file holds other settings, or another process is making it.
    """
    require_settings(settings)
    require_writable(output)
    require_disk(f"configurations = {settings.n_configurations}", 8 * settings.n_configurations, output.parent)
    record = recorder(device, threads)
    output = output.resolve() if output.is_symlink() else output
    with sole_maker(output) as folder:
        return _completed(output, folder, settings, goal, start, record, progress)


def _completed(
    output: Path,
    folder: Path,
    settings: Settings,
    goal: Goal | None,
    start: Ensemble | None,
    record: Recorder,
    progress: Progress,
) -> bool:
    """The same, with the folder for the parts."""
    found = open_ensemble(output, 1) if output.exists() else None
    n_found = 0
    if found is not None:
        _require_same(output, settings, found)
        series = read_series(output)
        n_found = sum(map(len, series.n))
        if n_found >= settings.n_configurations or (
            goal and goal.reached(getattr(series, goal.observable), settings.shape)
        ):
            return False
    files = _part_files(folder, n_found // settings.n_chains)

    def report(line: str) -> None:
        progress(0, settings.n_configurations, f"thermalising, {line}")

    state, tuning = _resume(folder, files, settings, found, start, record, report)
    turn = (int(state.worms[0]) - tuning.thermalisation) // tuning.spacing
    progress(turn * settings.n_chains, settings.n_configurations, "")
    while turn < settings.n_turns and not (
        goal and _next_look(turn - 1) == turn and _reached(goal, settings.shape, output, files)
    ):
        stop = _next_stop(settings, goal, turn)
        state, part = _part(settings, state, tuning, stop - turn, record)
        files.append(folder / f"{turn:09d}.h5")
        save_blocks(files[-1], [part])
        turn = stop
        progress(turn * settings.n_chains, settings.n_configurations, "")
    made = map(open_ensemble, files)
    kept = blocks_of(output, n_found - n_found % settings.n_chains) if n_found else iter([])
    rest = _rest(settings, state, tuning, record) if turn == settings.n_turns else []
    save_blocks(output, chained(kept, made, rest))
    for path in folder.glob("*.h5"):
        remove(path)
    return True


def with_worms(ensemble: Ensemble, numbers: Sequence[int], seed: int) -> Ensemble:
    """Open worms in a closed ensemble: every configuration is used once, with one of the ``numbers`` of worms.

    The numbers are dealt in equal shares at random, so that closed and open configurations come from the same chains
    but never from the same configuration. Raises InputError for numbers that cannot be.
    """
    if ensemble.worms is not None:
        raise InputError("the ensemble has open worms already; draw them from the closed ensemble")
    if not numbers or min(numbers) < 0 or len(set(numbers)) < len(numbers):
        raise InputError(f"number = {list(numbers)!s:.80}: different whole numbers from 0 on are needed, as in 0,5")
    if len(ensemble) < len(numbers):
        raise InputError(f"{len(ensemble)} configurations for {len(numbers)} numbers of worms: sample more of them")
    require_seed(seed)
    open_worms.require_drawable(ensemble.theory, ensemble.shape, max(numbers))
    dealt = np.resize(numbers, len(ensemble))
    np.random.default_rng(derived_seed(seed, "deal")).shuffle(dealt)
    worms = open_worms.draw(ensemble.theory, ensemble.configurations, dealt, seed)
    return replace(
        ensemble,
        configurations=worms.configurations,
        n=observables.n(ensemble.theory, worms.configurations),
        phi2=observables.phi2(ensemble.theory, worms.configurations),
        worms=worms,
        worm_seed=seed,
        state=None,
    )


def _part(settings: Settings, state: Chains, tuning: Tuning, n_turns: int, record: Recorder) -> tuple[Chains, Ensemble]:
    """The next ``n_turns`` configurations of every chain, the chains taking turns."""
    first = (int(state.worms[0]) - tuning.thermalisation) // tuning.spacing
    advanced, made = record(settings.theory, state, n_turns, tuning.spacing, entry=tuning.entry)
    configurations = np.swapaxes(made, 0, 1).reshape(-1, 2 * len(settings.shape), *settings.shape)
    return advanced, closed(settings.theory, settings.seed, tuning, configurations, first, advanced, settings.start)


def _rest(settings: Settings, state: Chains, tuning: Tuning, record: Recorder) -> list[Ensemble]:
    """The last turn, if only some chains are kept of it.

    The state is the one before that turn, so that a longer run repeats it in full.
    """
    n_kept = settings.n_configurations % settings.n_chains
    if not n_kept:
        return []
    _, last = _part(settings, state, tuning, 1, record)
    return [joined([last], n_kept, state)]


def _next_stop(settings: Settings, goal: Goal | None, turn: int) -> int:
    """The turn of the next checkpoint."""
    bytes_of_turn = 2 * settings.n_chains * len(settings.shape) * math.prod(settings.shape)
    stop = turn + max(1, PART_BYTES // bytes_of_turn)
    if goal:
        stop = min(stop, _next_look(turn))
    return min(stop, settings.n_turns)


def _next_look(turn: int) -> int:
    """The first turn after this one at which the error is looked at."""
    look = FIRST_TURNS
    while look <= turn:
        look += look // 2
    return look


def _reached(goal: Goal, shape: Sequence[int], output: Path, files: Sequence[Path]) -> bool:
    """Whether what has been made so far is enough."""
    made = [getattr(read_series(path), goal.observable) for path in ([output] if output.exists() else []) + [*files]]
    made = [series for series in made if series]
    return bool(made) and goal.reached([np.concatenate(parts) for parts in zip(*made, strict=True)], shape)


def _require_same(output: Path, settings: Settings, found: Ensemble) -> None:
    """Raise InputError if the file was made with other settings than the ones asked for."""
    if found.state is None:
        raise InputError(f"{output}: holds open worms, not an ensemble; choose another output")
    _require_equal(output, settings, found)


def _require_equal(where: Path, asked: Settings, found: Ensemble) -> None:
    there = Settings(found.theory, found.shape, len(found), found.n_chains, found.seed, found.start)
    for name in ("theory", "shape", "n_chains", "seed", "start"):
        if getattr(asked, name) != getattr(there, name):
            raise InputError(
                f"{where}: made with {name} = {getattr(there, name) or 'nothing'}, "
                f"asked for {getattr(asked, name) or 'nothing'}; "
                "choose another output, or remove it"
            )


def _resume(
    folder: Path,
    files: list[Path],
    settings: Settings,
    found: Ensemble | None,
    start: Ensemble | None,
    record: Recorder,
    report: Report,
) -> tuple[Chains, Tuning]:
    """State of the chains and waiting times: from the last part, the file to extend, or a new start."""
    if files:
        part = open_ensemble(files[-1])
        _require_equal(folder, settings, part)
        assert part.state is not None
        return part.state, part.tuning
    if found is not None and found.state is not None:
        return found.state, found.tuning
    state, tuning = _thermalised(settings, start, record, report)
    files.append(folder / "000000000-tuned.h5")
    save_blocks(files[-1], [joined([_part(settings, state, tuning, 1, record)[1]], 0, state)])
    return state, tuning


def _thermalised(settings: Settings, start: Ensemble | None, record: Recorder, report: Report) -> tuple[Chains, Tuning]:
    """Chains at rest, the first of those that pilots need, with which each of them is what it is among more chains."""
    report("from the last configurations of others" if start else "from both sides of the density")
    state = sampling.empty_chains(settings.shape, max(settings.n_chains, FEWEST_CHAINS), settings.seed)
    if start is not None:
        state = _continued(state, start)
    state, tuning = tune(settings.theory, state, record=record, report=report)
    return Chains(*(array[: settings.n_chains] for array in state)), tuning


def _continued(state: Chains, start: Ensemble) -> Chains:
    """New chains, with random streams of their own, on the last configurations of others."""
    if start.state is None or start.shape != state.shape:
        raise InputError(
            f"start: {start.origin}: a closed ensemble of the lattice {'x'.join(map(str, state.shape))} is needed"
        )
    there = start.state.hops
    return state._replace(hops=there[np.arange(len(state.hops)) % len(there)])


def _part_files(folder: Path, first_turn: int) -> list[Path]:
    """Parts in order; those that the file to extend holds already, left by a kill before they were removed, are not."""
    return sorted(path for path in folder.glob("[0-9]*.h5") if int(path.name[:9]) >= first_turn)
