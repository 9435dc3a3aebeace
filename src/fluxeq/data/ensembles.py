"""Ensembles of configurations and their HDF5 files.

    configurations          int8 (n, 2 d, *shape), channels k_t, k_x, ..., l_t, l_x, ...
    chain, sweep            chain index of each configuration, and worms attempted by then, thermalisation included
    observables/n, phi2     float64
    labels/n_worms, heads, tails    worm files only; end sites, padded with -1
    state/hops, rng, tally  closed ensembles only: the state to continue the chains, and move statistics

Attributes: theory, theory_class (its import path), couplings (their names) and their values; shape, chains, seed,
start_origin, spacing, thermalisation and tau_int (in worms), entry, version, format_version; worm files also worm_seed.
``start_origin`` is the origin of the configurations from which the chains started, or empty.

Files are written block by block, so they can exceed the memory, and compressed by gzip, which every HDF5 library
reads. ``hdf5`` verifies the checksum whenever a file is opened.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from fluxeq import __version__, observables
from fluxeq.data.hdf5 import created, opened
from fluxeq.errors import InputError
from fluxeq.lattice import shape_name
from fluxeq.observables import Observable
from fluxeq.sampling.chains import Chains
from fluxeq.sampling.open_worms import OpenWorms
from fluxeq.sampling.tuning import Tuning
from fluxeq.statistics import Estimate, by_chain, estimate
from fluxeq.system.files import atomic_write
from fluxeq.theory import FluxTheory, theory_of

FORMAT_VERSION = 5

CHUNK_BYTES, SHORT_CHUNK_BYTES = 2**18, 2**15
"""HDF5 chunk sizes: of configurations, and of arrays with one number per configuration."""
PACKED = {"compression": "gzip", "compression_opts": 1, "shuffle": True, "fletcher32": True}
"""Level 4 takes 1.7 times as long and saves a sixth of the bytes (benchmarks/ensembles.py)."""
STORED = ("n", "phi2")
"""Observables stored in files; all others are computed on demand."""
LABELS = ("n_worms", "heads", "tails")
ATTRIBUTES = (
    *("theory", "theory_class", "couplings", "shape", "chains", "seed", "start_origin", "version", "format_version"),
    *("spacing", "thermalisation", "tau_int", "entry", "worm_seed"),
)


@dataclass(frozen=True)
class Ensemble:
    """Configurations of one theory and lattice, with labels and all parameters of the sampling."""

    theory: FluxTheory
    shape: tuple[int, ...]  #: extents of the lattice, time first
    seed: int
    n_chains: int
    tuning: Tuning  #: from the pilot runs: spacing, thermalisation, tau_int
    configurations: np.ndarray  #: (n, 2 d, *shape) int8, channels k_t, k_x, ..., l_t, l_x, ...
    chain: np.ndarray  #: (n,) int64, chain index
    sweep: np.ndarray  #: (n,) int64, worms attempted by the chain up to this configuration
    observables: dict[str, np.ndarray]  #: n and phi2, each (n,) float64, lattice units
    worms: OpenWorms | None = None  #: ends of the open worms; None if all configurations are closed
    worm_seed: int | None = None
    state: Chains | None = None  #: state to continue the chains, for closed ensembles
    start_origin: str = ""  #: origin of the configurations from which the chains started, or empty

    def __len__(self) -> int:
        return len(self.configurations)

    def __repr__(self) -> str:
        opened = "" if self.worms is None else " with open worms"
        return f"Ensemble({self.origin}, {len(self)} configurations{opened} from {self.n_chains} chains)"

    @property
    def n(self) -> np.ndarray:
        """Particle density of each configuration, lattice units; float64 ``(n,)``."""
        return self.observables["n"]

    @property
    def phi2(self) -> np.ndarray:
        """|phi|^2 of each configuration, lattice units; float64 ``(n,)``."""
        return self.observables["phi2"]

    @property
    def n_worms(self) -> np.ndarray:
        """Number of open worms of each configuration, int64 ``(n,)``."""
        return np.zeros(len(self), dtype=np.int64) if self.worms is None else self.worms.n_worms

    @property
    def origin(self) -> str:
        """Identifies the Markov chains: two ensembles of the same origin are not independent."""
        return f"{self.theory}, {shape_name(self.shape)}, seed {self.seed}"

    def observable(self, observable: str | Observable) -> np.ndarray:
        """An observable of every configuration, by name or as a function; float64 ``(n,)``.

        Raises InputError for an unknown name, or a function that does not return one finite number per configuration.
        """
        if isinstance(observable, str) and observable in self.observables:
            return self.observables[observable]
        return observables.observed(observable, self.theory, self.configurations)

    def measure(self, *names: str | Observable) -> dict[str, Estimate]:
        """Mean, error, tau_int in stored configurations and R-hat of observables, by default n and phi2.

        Functions ``(theory, configurations) -> (n,)`` have their own names. Raises InputError like ``observable``, for
        two observables of the same name, and for an ensemble without configurations.
        """
        found = {observables.name_of(each): each for each in names or STORED}
        if any(found[observables.name_of(each)] != each for each in names):
            raise InputError(f"{', '.join(map(observables.name_of, names))}: two observables have the same name")
        return {name: estimate(by_chain(self.observable(each), self.chain)) for name, each in found.items()}

    def verify(self) -> None:
        """Recompute the labels n, |phi|^2 and number of worms; raise InputError if the stored ones differ."""
        right = stored_observables(self.theory, self.configurations)
        for name, stored, found in (
            *((name, self.observables[name], values) for name, values in right.items()),
            ("n_worms", self.n_worms, observables.n_worms(self.configurations)),
        ):
            wrong = ~np.isclose(stored, found, rtol=1e-10, atol=1e-12)
            if wrong.any():
                i = int(np.argmax(wrong))
                raise InputError(
                    f"{self.origin}: {name} of configuration {i} is stored as {stored[i]:g} but is {found[i]:g}; "
                    "the file is damaged, sample it again"
                )


class Series(NamedTuple):
    """Observables of an ensemble, one array per chain."""

    observables: dict[str, list[np.ndarray]]
    head: Ensemble
    """The ensemble without its configurations."""


def stored_observables(theory: FluxTheory, configurations: np.ndarray) -> dict[str, np.ndarray]:
    """The observables that are stored in a file."""
    return {"n": observables.n(theory, configurations), "phi2": observables.phi2(theory, configurations)}


def closed(
    theory: FluxTheory,
    seed: int,
    tuning: Tuning,
    configurations: np.ndarray,
    first_turn: int,
    state: Chains,
    start_origin: str = "",
) -> Ensemble:
    """A closed ensemble from configurations ordered by turn (one of each chain), starting with turn ``first_turn``."""
    n_chains = len(state.hops)
    turn, chain = np.divmod(np.arange(len(configurations)), n_chains)
    sweep = tuning.thermalisation + (first_turn + turn + 1) * tuning.spacing
    arrays = configurations, chain, sweep, stored_observables(theory, configurations)
    return Ensemble(theory, state.shape, seed, n_chains, tuning, *arrays, state=state, start_origin=start_origin)


def joined(blocks: Sequence[Ensemble], stop: int | None = None, state: Chains | None = None) -> Ensemble:
    """Join consecutive parts of an ensemble, cut after ``stop`` configurations; the default state is the last one."""

    def together(arrays: Iterable[np.ndarray]) -> np.ndarray:
        return np.concatenate(list(arrays))[:stop]

    return replace(
        blocks[-1],
        configurations=together(block.configurations for block in blocks),
        chain=together(block.chain for block in blocks),
        sweep=together(block.sweep for block in blocks),
        observables={name: together(block.observables[name] for block in blocks) for name in STORED},
        state=state or blocks[-1].state,
    )


def save_ensemble(path: str | Path, ensemble: Ensemble) -> None:
    """Write the ensemble to an HDF5 file, atomically."""
    save_blocks(Path(path), [ensemble])


def require_storable(theory: FluxTheory) -> None:
    """Raise InputError for a theory that cannot be stored, as a coupling has the name of another attribute."""
    if taken := [name for name in theory.couplings if name in ATTRIBUTES]:
        raise InputError(f"theory {theory.name!r}: {taken[0]} is an attribute of every ensemble; rename that coupling")


def save_blocks(path: Path, blocks: Iterable[Ensemble]) -> None:
    """Write consecutive parts of an ensemble to one file, one at a time; the state is that of the last."""
    with atomic_write(path) as temporary, created(temporary) as (file, device):
        for block in _filling_chunks(blocks):
            if not file.attrs:
                _write_attributes(file, block)
            _append(file, block)
            device.require_written()
        if block.state is not None:
            for name, values in block.state._asdict().items():
                file.create_dataset(f"state/{name}", data=values, **PACKED)


def _filling_chunks(blocks: Iterable[Ensemble]) -> Iterator[Ensemble]:
    """Regroup the configurations into blocks of at least one chunk each, except the last."""
    waiting: list[Ensemble] = []
    for block in blocks:
        waiting.append(block)
        if sum(each.configurations.nbytes for each in waiting) >= CHUNK_BYTES:
            yield _as_one(waiting)
            waiting = []
    if waiting:
        yield _as_one(waiting)


def _as_one(blocks: Sequence[Ensemble]) -> Ensemble:
    return blocks[0] if len(blocks) == 1 else joined(blocks)


def _write_attributes(file: h5py.File, ensemble: Ensemble) -> None:
    theory = ensemble.theory
    require_storable(theory)
    file.attrs.update(
        **theory.couplings,
        **asdict(ensemble.tuning),
        theory=theory.name,
        theory_class=f"{type(theory).__module__}:{type(theory).__qualname__}",
        couplings=list(theory.couplings),
        shape=ensemble.shape,
        chains=ensemble.n_chains,
        seed=ensemble.seed,
        start_origin=ensemble.start_origin,
        version=__version__,
        format_version=FORMAT_VERSION,
    )
    if ensemble.worms is not None:
        file.attrs["worm_seed"] = ensemble.worm_seed


def _append(file: h5py.File, block: Ensemble) -> None:
    """Append the arrays of the block to those of the file."""
    arrays = {"configurations": block.configurations, "chain": block.chain, "sweep": block.sweep}
    arrays |= {f"observables/{name}": block.observables[name] for name in STORED}
    if block.worms is not None:
        arrays |= {f"labels/{name}": getattr(block.worms, name) for name in LABELS}
    more_to_come = block.configurations.nbytes >= CHUNK_BYTES
    for place, values in arrays.items():
        row = values.shape[1:]
        if 0 in row:  # no worms: HDF5 has no empty chunks
            file.create_dataset(place, data=values)
            continue
        if place not in file:
            # Shorter chunks only if this is all the data: HDF5 needs far more memory for many tiny ones.
            n_bytes = CHUNK_BYTES if place == "configurations" else SHORT_CHUNK_BYTES
            rows = n_bytes // (values.itemsize * math.prod(row)) if more_to_come else len(values)
            chunks = (max(1, rows), *row)
            file.create_dataset(place, (0, *row), values.dtype, maxshape=(None, *row), chunks=chunks, **PACKED)
        dataset, n = file[place], len(file[place])
        dataset.resize(n + len(values), axis=0)
        dataset[n:] = values


def open_ensemble(path: str | Path, stop: int | None = None) -> Ensemble:
    """Read an ensemble or worm file, or its first ``stop`` configurations.

    Raises InputError if the file is not an ensemble, is damaged, or has another format version.
    """
    with _opened(path) as file:
        return _read(Path(path), file, slice(stop))


@contextmanager
def _opened(path: str | Path) -> Iterator[h5py.File]:
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such ensemble; make one with 'fluxeq sample ... --output {path}'")
    try:
        with opened(path) as file:
            _require_format(path, file.attrs)
            _require_fitting(file)
            yield file
    except InputError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not an ensemble of fluxeq ({error})") from None


def _require_format(path: Path, attributes: Any) -> None:
    found = attributes["format_version"]
    if found != FORMAT_VERSION:
        raise InputError(f"{path}: format version {found}, this fluxeq reads {FORMAT_VERSION}; sample it again")


def _require_fitting(file: h5py.File) -> None:
    """Raise TypeError if the arrays differ in length, or do not match the lattice in the attributes."""
    configurations, shape = file["configurations"], tuple(int(extent) for extent in file.attrs["shape"])
    lengths = {len(file[place]) for place in ("chain", "sweep", *(f"observables/{name}" for name in STORED))}
    if lengths != {len(configurations)} or configurations.shape[1:] != (2 * len(shape), *shape):
        raise TypeError("its arrays do not match")
    if configurations.dtype != np.int8:
        raise TypeError(f"its configurations are {configurations.dtype}, not int8")
    if "state" in file:
        n_chains = int(file.attrs["chains"])
        fitting = {
            "hops": ((n_chains, 2, len(shape), *shape), np.uint16),
            "rng": ((n_chains, 2), np.uint64),
            "tally": ((n_chains, 4, 2), np.int64),
        }
        for name, (extents, kind) in fitting.items():
            found = file[f"state/{name}"]
            if found.shape != extents or found.dtype != kind:
                raise TypeError(f"state/{name} is {found.dtype} {found.shape}, not {kind.__name__} {extents}")


def _theory(path: Path, attributes: Any) -> FluxTheory:
    """The theory of a file. Raises InputError naming the package it needs, if that cannot be imported."""
    try:
        return theory_of(attributes["theory"], {name: attributes[name].item() for name in attributes["couplings"]})
    except InputError as error:
        package = attributes["theory_class"].partition(":")[0]
        raise InputError(f"{path}: needs the Python module {package} for its theory ({error})") from None


def _read(path: Path, file: h5py.File, rows: slice = slice(None)) -> Ensemble:
    attributes = file.attrs
    theory, shape = _theory(path, attributes), tuple(int(extent) for extent in attributes["shape"])
    tuning = Tuning(**{field.name: attributes[field.name].item() for field in fields(Tuning)})
    configurations, chain, sweep = (file[name][rows] for name in ("configurations", "chain", "sweep"))
    arrays = configurations, chain, sweep, {name: file[f"observables/{name}"][rows] for name in STORED}
    worms = worm_seed = state = None
    if "labels" in file:
        worms = OpenWorms(configurations, *(file[f"labels/{name}"][rows] for name in LABELS))
        worm_seed = int(attributes["worm_seed"])
    if "state" in file:
        state = Chains(*(file[f"state/{name}"][:] for name in Chains._fields))
    seed, n_chains, start_origin = int(attributes["seed"]), int(attributes["chains"]), str(attributes["start_origin"])
    return Ensemble(theory, shape, seed, n_chains, tuning, *arrays, worms, worm_seed, state, start_origin)


def blocks_of(path: Path, stop: int | None = None) -> Iterator[Ensemble]:
    """The first ``stop`` configurations of a file (default: all) in blocks of a few MiB."""
    with _opened(path) as file:
        n = len(file["configurations"]) if stop is None else stop
        n_rows = file["configurations"].chunks[0] * 128
        for first in range(0, n, n_rows):
            yield _read(path, file, slice(first, min(n, first + n_rows)))


def read_series(path: str | Path, names: Sequence[str] = STORED) -> Series:
    """Observables of an ensemble file by chain, stored or computed.

    Raises InputError like ``open_ensemble`` and ``Ensemble.observable``.
    """
    with _opened(path) as file:
        chain = file["chain"][:]
        head = _read(Path(path), file, slice(0))
        values = {name: file[f"observables/{name}"][:] for name in STORED}
    if computed := [name for name in names if name not in STORED]:
        blocks = [{name: block.observable(name) for name in computed} for block in blocks_of(Path(path))]
        values |= {name: np.concatenate([np.empty(0), *(block[name] for block in blocks)]) for name in computed}
    return Series({name: by_chain(values[name], chain) for name in names}, head)


def origins(ensembles: Iterable[Ensemble]) -> list[str]:
    """The distinct origins of ensembles, in order."""
    return list(dict.fromkeys(ensemble.origin for ensemble in ensembles))
