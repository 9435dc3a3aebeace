"""Sampling of closed ensembles and insertion of open worms, in memory; ``checkpoints`` writes resumable files.

Interruptions do not change the result: a run stopped and resumed equals an uninterrupted one.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from fluxeq.data.ensembles import Ensemble, closed, joined, stored_observables
from fluxeq.data.goal import Goal, parse_goals
from fluxeq.errors import InputError
from fluxeq.lattice import shape_name
from fluxeq.sampling.chains import Chains, Recorder, empty_chains, require_chains, require_seed, require_whole
from fluxeq.sampling.devices import recorder
from fluxeq.sampling.open_worms import insert_worms, require_room_for_worms
from fluxeq.sampling.tables import require_storable
from fluxeq.sampling.tuning import FEWEST_CHAINS, Tuning, tune
from fluxeq.system.capacity import require_memory
from fluxeq.system.files import derived_seed
from fluxeq.system.progress import progress as shown
from fluxeq.theory import FluxTheory

PART_BYTES = 2**25
"""Bytes of configurations between two checkpoints: the most that a kill can lose and that is in memory at once."""
FIRST_CHECK = 64
"""Configurations per chain before the error is checked first; the number then grows by half each time."""

Progress = Callable[[int, int, str], None]
"""Called with the number of configurations made, their total number, and a remark."""


class Settings(NamedTuple):
    """The settings that determine the content of an ensemble."""

    theory: FluxTheory
    shape: tuple[int, ...]
    n_configurations: int
    n_chains: int
    seed: int
    start_origin: str = ""
    """Origin of the ensemble from whose last configurations the chains start; empty if there is none."""

    @property
    def n_turns(self) -> int:
        """Number of complete turns; a turn is one configuration of each chain."""
        return self.n_configurations // self.n_chains


def sample(
    theory: FluxTheory,
    shape: Sequence[int],
    configurations: int,
    *,
    chains: int = 4,
    seed: int = 0,
    device: str = "cpu",
    threads: int = 1,
    until: str | Mapping[str, float] | None = None,
    start: Ensemble | None = None,
    progress: bool = False,
) -> Ensemble:
    """Sample an ensemble of independent, thermalised chains, with a spacing based on the measured autocorrelation.

    ``shape``: extents of the periodic lattice, time first. ``configurations``: total number over all chains.
    ``until``: errors at which to stop earlier, as in "n=0.01" or {"n": 0.01}. ``start``: an ensemble on the same
    lattice from whose last configurations the chains start. ``device``: cpu or cuda; ``threads`` apply to the CPU;
    neither changes the result. ``progress`` is shown on standard error. Raises InputError for invalid settings or an
    unavailable device, FluxOverflowError if a flux exceeds int8.
    """
    settings = Settings(theory, tuple(shape), configurations, chains, seed, start.origin if start else "")
    goals = parse_goals(until)
    require_settings(settings)
    require_memory(f"configurations = {configurations}", int(configurations) * 2 * len(shape) * math.prod(shape))
    record = recorder(device, threads)
    with shown("sampling") if progress else nullcontext(lambda *said: None) as advance:
        state, tuning = thermalise(settings, start, record, advance)
        made = list(parts(settings, state, tuning, goals, record, [], advance))
    if made and made[-1].state:
        state = made[-1].state
    return joined([*made, *incomplete_turn(settings, state, tuning, record)])


def open_worms(ensemble: Ensemble, numbers: Sequence[int], *, seed: int = 0) -> Ensemble:
    """Insert open worms into a closed ensemble; each configuration is used once, with one of the ``numbers``.

    The numbers are assigned at random in equal shares, so that closed and open configurations come from the same
    chains but never from the same configuration. Raises InputError for invalid numbers.
    """
    if ensemble.worms is not None:
        raise InputError("the ensemble already has open worms; use the closed ensemble")
    if not numbers or min(numbers) < 0 or len(set(numbers)) < len(numbers):
        raise InputError(f"number = {list(numbers)!s:.80}: must be distinct non-negative integers, as in 0,5")
    if len(ensemble) < len(numbers):
        raise InputError(f"{len(ensemble)} configurations for {len(numbers)} numbers of worms: sample more")
    require_seed(seed)
    require_room_for_worms(ensemble.theory, ensemble.shape, max(numbers))
    dealt = np.resize(numbers, len(ensemble))
    np.random.default_rng(derived_seed(seed, "deal")).shuffle(dealt)
    worms = insert_worms(ensemble.theory, ensemble.configurations, dealt, seed)
    return replace(
        ensemble,
        configurations=worms.configurations,
        observables=stored_observables(ensemble.theory, worms.configurations),
        worms=worms,
        worm_seed=seed,
        state=None,
    )


def require_settings(settings: Settings) -> None:
    """Raise InputError for a lattice, theory or number that cannot be sampled."""
    require_chains(settings.shape, settings.n_chains, settings.seed)
    require_storable(settings.theory, len(settings.shape))
    require_whole("configurations", settings.n_configurations, 1)


def parts(
    settings: Settings,
    state: Chains,
    tuning: Tuning,
    goals: Sequence[Goal],
    record: Recorder,
    before: Iterable[Ensemble],
    progress: Progress,
) -> Iterator[Ensemble]:
    """Sample in parts from a state until the number or all goals are reached; goals include blocks made ``before``.

    Each part holds the state of the chains at its end.
    """
    turn = n_turns_done(state, tuning)
    made = {goal.observable: [np.empty(0)] for goal in goals}
    for block in before if goals else ():
        for name, values in made.items():
            values.append(block.observable(name))
    progress(turn * settings.n_chains, settings.n_configurations, "")
    while turn < settings.n_turns and not (_next_check(turn - 1) == turn and are_reached(goals, made, settings)):
        stop = _next_stop(settings, goals, turn)
        part = _part(settings, state, tuning, stop - turn, record)
        for name, values in made.items():
            values.append(part.observable(name))
        yield part
        assert part.state is not None
        state, turn = part.state, stop
        progress(turn * settings.n_chains, settings.n_configurations, "")


def are_reached(goals: Sequence[Goal], made: Mapping[str, Sequence[np.ndarray]], settings: Settings) -> bool:
    """Whether all errors are small enough, from observables ordered by turn; False without goals."""

    def series(name: str) -> list[np.ndarray]:
        together = np.concatenate(made[name])
        return [together[c :: settings.n_chains] for c in range(settings.n_chains)]

    return bool(goals) and all(goal.reached(series(goal.observable), settings.shape) for goal in goals)


def incomplete_turn(settings: Settings, state: Chains, tuning: Tuning, record: Recorder) -> list[Ensemble]:
    """The incomplete last turn, if the number of configurations is not a multiple of the number of chains.

    Its state is the one before that turn, so that an extension repeats the turn in full.
    """
    n_kept = settings.n_configurations % settings.n_chains
    if not n_kept or n_turns_done(state, tuning) < settings.n_turns:
        return []
    return [joined([_part(settings, state, tuning, 1, record)], n_kept, state)]


def empty_part(settings: Settings, state: Chains, tuning: Tuning, record: Recorder) -> Ensemble:
    """A part without configurations that stores the thermalised chains with their spacing and thermalisation."""
    return joined([_part(settings, state, tuning, 1, record)], 0, state)


def n_turns_done(state: Chains, tuning: Tuning) -> int:
    """Configurations made so far by each chain."""
    return (int(state.worms[0]) - tuning.thermalisation) // tuning.spacing


def thermalise(
    settings: Settings, start: Ensemble | None, record: Recorder, progress: Progress
) -> tuple[Chains, Tuning]:
    """Thermalised chains and their tuning. Pilot runs may use more chains, of which the first are kept."""

    def report(line: str) -> None:
        progress(0, settings.n_configurations, f"thermalising, {line}")

    report("from the last configurations of another ensemble" if start else "from low- and high-density starts")
    state = empty_chains(settings.shape, max(settings.n_chains, FEWEST_CHAINS), settings.seed)
    if start is not None:
        state = _continued(state, start)
    state, tuning = tune(settings.theory, state, record=record, report=report)
    return Chains(*(array[: settings.n_chains] for array in state)), tuning


def _continued(state: Chains, start: Ensemble) -> Chains:
    """Chains that start from the last configurations of another ensemble, with their own random streams."""
    if start.state is None or start.shape != state.shape:
        raise InputError(f"start: {start.origin}: must be a closed ensemble on the lattice {shape_name(state.shape)}")
    there = start.state.hops
    return state._replace(hops=there[np.arange(len(state.hops)) % len(there)])


def _part(settings: Settings, state: Chains, tuning: Tuning, n_turns: int, record: Recorder) -> Ensemble:
    """The next ``n_turns`` configurations of every chain, ordered by turn."""
    advanced, made = record(settings.theory, state, n_turns, tuning.spacing, entry=tuning.entry)
    configurations = np.swapaxes(made, 0, 1).reshape(-1, 2 * len(settings.shape), *settings.shape)
    first = n_turns_done(state, tuning)
    return closed(settings.theory, settings.seed, tuning, configurations, first, advanced, settings.start_origin)


def _next_stop(settings: Settings, goals: Sequence[Goal], turn: int) -> int:
    """The turn of the next checkpoint."""
    bytes_of_turn = 2 * settings.n_chains * len(settings.shape) * math.prod(settings.shape)
    stop = turn + max(1, PART_BYTES // bytes_of_turn)
    if goals:
        stop = min(stop, _next_check(turn))
    return min(stop, settings.n_turns)


def _next_check(turn: int) -> int:
    """The first turn after this one at which the error is checked."""
    look = FIRST_CHECK
    while look <= turn:
        look += look // 2
    return look
