"""Making ensembles: in memory, or into a file in steps that a killed run continues.

While a file is being made, its finished blocks lie in a folder beside it (``e.h5.parts``), each with the state of the
chains at its end. Blocks do not change the result: half a run continued by the other half is one run.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fluxeq import observables
from fluxeq.data.ensembles import Ensemble, closed, open_ensemble, save_ensemble
from fluxeq.errors import InputError
from fluxeq.files import derived_seed, remove, require_writable
from fluxeq.sampling import chains as sampling
from fluxeq.sampling import open_worms
from fluxeq.sampling.chains import Chains
from fluxeq.sampling.tuning import Tuning, tune
from fluxeq.theory import Theory

BLOCK_BYTES = 2**25
"""Configurations made between two checkpoints; the most that a kill can lose."""

Progress = Callable[[int, int], None]


class Settings(NamedTuple):
    """What fixes the content of an ensemble."""

    theory: Theory
    shape: tuple[int, ...]
    n_configurations: int
    n_chains: int
    seed: int


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

    Raises InputError for settings that cannot be, FluxOverflowError if a flux leaves int8.
    """
    settings = Settings(theory, tuple(shape), configurations, chains, seed)
    require_settings(settings, device)
    state, tuning = tune(theory, sampling.start(shape, chains, seed), n_threads=threads)
    n_steps, rest = divmod(configurations, chains)
    state, blocks = _block(settings, state, tuning, n_steps, threads)
    return _assembled(settings, tuning, state, [blocks], rest, threads)


def require_settings(settings: Settings, device: str) -> None:
    """Raise InputError for a lattice, theory, number or device that cannot be sampled."""
    sampling.start(settings.shape, settings.n_chains, settings.seed)
    settings.theory.require_stable(len(settings.shape))
    if settings.n_configurations < 1:
        raise InputError(f"configurations = {settings.n_configurations}: at least 1 is needed")
    if device != "cpu":
        raise InputError(f"device {device!r}: this version samples on the CPU; leave --device out")


def sample_to_file(
    output: Path, settings: Settings, *, device: str = "cpu", threads: int = 1, progress: Progress = lambda *_: None
) -> bool:
    """Make the ensemble file, or the part of it that is still missing; False if it was complete already.

    A file with fewer configurations of the same chains is extended. Raises InputError if it holds other settings.
    """
    require_settings(settings, device)
    require_writable(output)
    parts = output.with_name(output.name + ".parts")
    found = open_ensemble(output) if output.exists() else None
    if found is not None:
        _require_same(output, settings, found)
        if len(found) >= settings.n_configurations:
            return False
    state, tuning, n_done = _resume(parts, _part_files(parts, found), settings, found, threads)
    n_steps, rest = divmod(settings.n_configurations, settings.n_chains)
    block = max(1, BLOCK_BYTES // (8 * settings.n_chains * len(settings.shape) * math.prod(settings.shape)))
    progress(n_done * settings.n_chains, settings.n_configurations)
    while n_done < n_steps:
        n = min(block, n_steps - n_done)
        state, configurations = _block(settings, state, tuning, n, threads)
        _save_part(parts / f"{n_done:09d}.h5", settings, state, tuning, configurations)
        n_done += n
        progress(n_done * settings.n_chains, settings.n_configurations)
    blocks = [configurations for *_, configurations in map(_load_part, _part_files(parts, found))]
    if found is not None:
        blocks.insert(0, found.configurations[: len(found) - len(found) % settings.n_chains])
    save_ensemble(output, _assembled(settings, tuning, state, blocks, rest, threads))
    remove(parts)
    return True


def with_worms(ensemble: Ensemble, numbers: Sequence[int], seed: int) -> Ensemble:
    """Open worms in a closed ensemble: every configuration is used once, with one of the ``numbers`` of worms.

    The numbers are dealt in equal shares at random, so that closed and open configurations come from the same chains
    but never from the same configuration. Raises InputError for numbers that cannot be.
    """
    if ensemble.worms is not None:
        raise InputError("the ensemble has open worms already; draw them from the closed ensemble")
    if not numbers or min(numbers) < 0 or len(set(numbers)) < len(numbers):
        raise InputError(f"number = {list(numbers)}: different whole numbers from 0 on are needed, as in 0,5")
    if len(ensemble) < len(numbers):
        raise InputError(f"{len(ensemble)} configurations for {len(numbers)} numbers of worms: sample more of them")
    if seed < 0:
        raise InputError(f"seed = {seed}: a seed is a whole number from 0 on")
    dealt = np.resize(numbers, len(ensemble))
    np.random.default_rng(derived_seed(seed, "deal")).shuffle(dealt)
    worms = open_worms.draw(ensemble.theory, ensemble.configurations, dealt, seed)
    return replace(
        ensemble,
        configurations=worms.configurations,
        n=observables.density(worms.configurations),
        phi2=observables.phi2(ensemble.theory, worms.configurations),
        worms=worms,
        worm_seed=seed,
        state=None,
    )


def _block(settings: Settings, state: Chains, tuning: Tuning, n: int, threads: int) -> tuple[Chains, np.ndarray]:
    """``n`` configurations of every chain, the chains taking turns; ``(n * chains, 2 d, *shape)``."""
    state, made = sampling.record(settings.theory, state, n, tuning.spacing, entry=tuning.entry, n_threads=threads)
    return state, np.swapaxes(made, 0, 1).reshape(-1, 2 * len(settings.shape), *settings.shape)


def _assembled(
    settings: Settings, tuning: Tuning, state: Chains, blocks: list[np.ndarray], rest: int, threads: int
) -> Ensemble:
    """The ensemble from whole turns of all chains, and a last turn of which only ``rest`` chains are kept.

    The stored state is the one before that last turn, so that a longer run repeats it in full.
    """
    if rest:
        _, last = _block(settings, state, tuning, 1, threads)
        blocks = [*blocks, last[:rest]]
    configurations = np.concatenate(blocks)
    turn = np.arange(len(configurations)) // settings.n_chains + 1
    sweep = tuning.thermalisation + turn * tuning.spacing
    return closed(settings.theory, settings.seed, tuning, configurations, sweep, state)


def _require_same(output: Path, settings: Settings, found: Ensemble) -> None:
    """Raise InputError if the file was made with other settings than the ones asked for."""
    if found.state is None:
        raise InputError(f"{output}: holds open worms, not an ensemble; choose another output")
    _require_equal(output, settings, Settings(found.theory, found.shape, len(found), found.n_chains, found.seed))


def _require_equal(where: Path, asked: Settings, there: Settings) -> None:
    for name in ("theory", "shape", "n_chains", "seed"):
        if getattr(asked, name) != getattr(there, name):
            raise InputError(
                f"{where}: made with {name} = {getattr(there, name)}, asked for {getattr(asked, name)}; "
                "choose another output, or remove it"
            )


def _resume(
    parts: Path, files: list[Path], settings: Settings, found: Ensemble | None, threads: int
) -> tuple[Chains, Tuning, int]:
    """State of the chains, waiting times and turns done: from the last part, the file to extend, or a new start."""
    if files:
        there, state, tuning, _ = _load_part(files[-1])
        _require_equal(parts, settings, there)
    elif found is not None and found.state is not None:
        state, tuning = found.state, found.tuning
    else:
        state = sampling.start(settings.shape, settings.n_chains, settings.seed)
        state, tuning = tune(settings.theory, state, n_threads=threads)
        empty = np.empty((0, 2 * len(settings.shape), *settings.shape), dtype=np.int8)
        _save_part(parts / "000000000-tuned.h5", settings, state, tuning, empty)
    return state, tuning, (int(state.worms[0]) - tuning.thermalisation) // tuning.spacing


def _part_files(parts: Path, found: Ensemble | None) -> list[Path]:
    """Parts in order; those that the file to extend holds already, left by a kill before they were removed, are not."""
    first_turn = 0 if found is None else len(found) // found.n_chains
    return sorted(path for path in parts.glob("[0-9]*.h5") if int(path.name[:9]) >= first_turn)


def _save_part(path: Path, settings: Settings, state: Chains, tuning: Tuning, configurations: np.ndarray) -> None:
    sweep = np.full(len(configurations), state.worms[0])
    save_ensemble(path, closed(settings.theory, settings.seed, tuning, configurations, sweep, state))


def _load_part(path: Path) -> tuple[Settings, Chains, Tuning, np.ndarray]:
    part = open_ensemble(path)
    assert part.state is not None
    there = Settings(part.theory, part.shape, len(part), part.n_chains, part.seed)
    return there, part.state, part.tuning, part.configurations
