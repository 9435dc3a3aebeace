"""Resumable sampling to ensemble files.

While a file is being made, its finished parts are kept in a folder beside it (``e.h5.parts``), each named by its first
turn and with the state of the chains at its end. A damaged part and all later ones are sampled again.
"""

import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain as chained
from pathlib import Path

from fluxeq.data import ensembles
from fluxeq.data.ensembles import Ensemble, blocks_of, open_ensemble, read_series, save_blocks
from fluxeq.data.generation import (
    Progress,
    Settings,
    empty_part,
    incomplete_turn,
    n_turns_done,
    parts,
    require_settings,
    thermalise,
)
from fluxeq.data.goal import Goal
from fluxeq.errors import InputError
from fluxeq.sampling.chains import Chains, Recorder
from fluxeq.sampling.devices import recorder
from fluxeq.sampling.tuning import Tuning
from fluxeq.system.capacity import require_disk
from fluxeq.system.files import remove, remove_temporary_of, require_writable, sole_owner

LOGGER = logging.getLogger(__name__)


def sample_to_file(
    output: Path,
    settings: Settings,
    *,
    goals: Sequence[Goal] = (),
    start: Ensemble | None = None,
    device: str = "cpu",
    threads: int = 1,
    progress: Progress = lambda done, total, remark: None,
) -> bool:
    """Sample to an ensemble file, resuming or extending it; False if it was already complete.

    A file with fewer configurations of the same chains is extended. With goals the file is complete as soon as all
    errors are small enough. ``start`` is the ensemble named in the settings, on the same lattice. Raises InputError if
    the file has other settings, or another process is making it.
    """
    require_settings(settings)
    ensembles.require_storable(settings.theory)
    require_writable(output)
    require_disk(f"configurations = {settings.n_configurations}", 8 * settings.n_configurations, output.parent)
    record = recorder(device, threads)
    output = Path(os.path.realpath(output)) if output.is_symlink() else output
    folder = output.with_name(output.name + ".parts")
    try:
        with sole_owner(folder / "lock", "is making the ensemble"):
            remove_temporary_of(output)
            return _completed(output, folder, settings, goals, start, record, progress)
    finally:
        with suppress(OSError):  # the folder still has parts, or another process uses it
            folder.rmdir()


def _completed(
    output: Path,
    folder: Path,
    settings: Settings,
    goals: Sequence[Goal],
    start: Ensemble | None,
    record: Recorder,
    progress: Progress,
) -> bool:
    """The same, given the folder for the parts."""
    found = open_ensemble(output, 1) if output.exists() else None
    n_found = 0
    if found is not None:
        _require_same(output, settings, found)
        series = read_series(output, ["n", *(goal.observable for goal in goals)]).observables
        n_found = sum(map(len, series["n"]))
        is_reached = goals and all(goal.reached(series[goal.observable], settings.shape) for goal in goals)
        _remove_parts_before(folder, n_found // settings.n_chains)
        if n_found >= settings.n_configurations or is_reached:
            return False
    n_whole = n_found - n_found % settings.n_chains  # an incomplete last turn is made again

    files = _part_files(folder, n_found // settings.n_chains)
    state, tuning = _resume(folder, files, settings, found, start, record, progress)
    before = chained(blocks_of(output, n_whole) if n_whole else (), map(open_ensemble, list(files)))
    for part in parts(settings, state, tuning, goals, record, before, progress):
        files.append(folder / f"{n_turns_done(state, tuning):09d}.h5")
        save_blocks(files[-1], [part])
        assert part.state is not None
        state = part.state
    there = blocks_of(output, n_whole) if n_whole else ()
    save_blocks(output, chained(there, map(open_ensemble, files), incomplete_turn(settings, state, tuning, record)))
    for path in folder.glob("*.h5"):
        remove(path)
    return True


def _require_same(where: Path, asked: Settings, found: Ensemble) -> None:
    """Raise InputError if an ensemble was made with other settings, or not by sampling."""
    if found.state is None:
        raise InputError(f"{where}: open worms or imported configurations cannot be extended; choose another output")
    there = Settings(found.theory, found.shape, len(found), found.n_chains, found.seed, found.start_origin)
    for name in ("theory", "shape", "n_chains", "seed", "start_origin"):
        wanted, made = getattr(asked, name), getattr(there, name)
        if wanted != made:
            raise InputError(
                f"{where}: made with {name.removesuffix('_origin')} = {str(made) or 'nothing'}, "
                f"requested {str(wanted) or 'nothing'}; choose another output, or remove it"
            )


def _resume(
    folder: Path,
    files: list[Path],
    settings: Settings,
    found: Ensemble | None,
    start: Ensemble | None,
    record: Recorder,
    progress: Progress,
) -> tuple[Chains, Tuning]:
    """State and tuning of the chains: from the last part, the file to extend, or a new start."""
    last = open_ensemble(files[-1], 1) if files else found
    if last is not None and last.state is not None:
        _require_same(folder, settings, last)
        return last.state, last.tuning
    state, tuning = thermalise(settings, start, record, progress)
    files.append(folder / "000000000-tuned.h5")
    save_blocks(files[-1], [empty_part(settings, state, tuning, record)])
    return state, tuning


def _remove_parts_before(folder: Path, first_turn: int) -> None:
    """Remove parts that are already in the file, left by a process killed before it could remove them."""
    for path in folder.glob("[0-9]*.h5"):
        if int(path.name[:9]) < first_turn or path.stem.endswith("-tuned"):
            remove(path)


def _part_files(folder: Path, first_turn: int) -> list[Path]:
    """Consecutive parts starting at a turn; those after a damaged or missing one are removed."""
    found: list[Path] = []
    turn, reason = first_turn, ""
    for path in sorted(folder.glob("[0-9]*.h5")):
        try:
            part = open_ensemble(path, 1)
            if int(path.name[:9]) != turn or part.state is None:
                reason = reason or f"{path}: the part before it is missing"
            turn = n_turns_done(part.state, part.tuning) if part.state else turn
        except InputError as error:
            reason = reason or str(error)
        if reason:
            remove(path)
        else:
            found.append(path)
    if reason:
        LOGGER.warning("%s; this part and all later ones are sampled again", reason.removesuffix("; sample it again"))
    return found
