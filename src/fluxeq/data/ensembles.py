"""Ensembles of configurations and their HDF5 files.

    configurations          int8 (n, 2 d, *shape), channels k_t, k_x, ..., l_t, l_x, ...
    chain, sweep            the chain of each configuration, and the worms it had tried by then, thermalisation included
    observables/n, phi2     float64
    labels/n_worms, heads, tails    worm files only; end sites, -1 where there is none
    state/hops, rng, tally  closed ensembles only: what the chains need to go on, and how their moves went

Attributes: eta, lam, mu, shape, chains, seed, spacing, thermalisation and tau_int (in worms), entry, version,
format_version; worm files also worm_seed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fluxeq import __version__, observables
from fluxeq.errors import InputError
from fluxeq.files import whole
from fluxeq.sampling.chains import Chains
from fluxeq.sampling.open_worms import OpenWorms
from fluxeq.sampling.tuning import Tuning
from fluxeq.theory import Theory

FORMAT_VERSION = 2


@dataclass(frozen=True)
class Ensemble:
    """Configurations of one theory and shape, with their labels and all that is known of how they were made."""

    theory: Theory
    shape: tuple[int, ...]
    seed: int
    n_chains: int
    tuning: Tuning
    configurations: np.ndarray  # (n, 2 d, *shape) int8
    chain: np.ndarray  # (n,) int64
    sweep: np.ndarray  # (n,) int64
    n: np.ndarray  # (n,) float64
    phi2: np.ndarray  # (n,) float64
    worms: OpenWorms | None = None
    worm_seed: int | None = None
    state: Chains | None = None

    def __len__(self) -> int:
        return len(self.configurations)

    @property
    def n_worms(self) -> np.ndarray:
        """Number of open worms of each configuration, int64 ``(n,)``."""
        return np.zeros(len(self), dtype=np.int64) if self.worms is None else self.worms.n_worms

    @property
    def origin(self) -> str:
        """The chains behind the configurations: two ensembles with one origin are not independent."""
        theory, shape = self.theory, "x".join(map(str, self.shape))
        return f"eta {theory.eta!r}, lam {theory.lam!r}, mu {theory.mu!r}, {shape}, seed {self.seed}"

    def verify(self) -> None:
        """Raise InputError unless the labels are those of the configurations: n, |phi|^2 and the number of worms."""
        for name, stored, found in (
            ("n", self.n, observables.density(self.configurations)),
            ("phi2", self.phi2, observables.phi2(self.theory, self.configurations)),
            ("n_worms", self.n_worms, observables.n_worms(self.configurations)),
        ):
            wrong = ~np.isclose(stored, found, rtol=1e-10, atol=1e-12)
            if wrong.any():
                i = int(np.argmax(wrong))
                raise InputError(
                    f"{self.origin}: {name} of configuration {i} is stored as {stored[i]:g} but is {found[i]:g}; "
                    "the file is damaged, sample it again"
                )


def closed(
    theory: Theory, seed: int, tuning: Tuning, configurations: np.ndarray, sweep: np.ndarray, state: Chains
) -> Ensemble:
    """An ensemble from configurations that all chains took turns to make."""
    n_chains = len(state.hops)
    return Ensemble(
        theory,
        state.shape,
        seed,
        n_chains,
        tuning,
        configurations,
        np.arange(len(configurations)) % n_chains,
        sweep,
        observables.density(configurations),
        observables.phi2(theory, configurations),
        state=state,
    )


def save_ensemble(path: Path, ensemble: Ensemble) -> None:
    """Write the ensemble to an HDF5 file, which is whole or not there."""
    with whole(path) as temporary, h5py.File(temporary, "w") as file:
        theory, tuning = ensemble.theory, ensemble.tuning
        file.attrs.update(
            eta=theory.eta,
            lam=theory.lam,
            mu=theory.mu,
            shape=ensemble.shape,
            chains=ensemble.n_chains,
            seed=ensemble.seed,
            spacing=tuning.spacing,
            thermalisation=tuning.thermalisation,
            tau_int=tuning.tau_int,
            entry=tuning.entry,
            version=__version__,
            format_version=FORMAT_VERSION,
        )
        file.create_dataset("configurations", data=ensemble.configurations, compression="lzf", shuffle=True)
        for name in ("chain", "sweep"):
            file[name] = getattr(ensemble, name)
        for name in ("n", "phi2"):
            file[f"observables/{name}"] = getattr(ensemble, name)
        if ensemble.worms is not None:
            for name in ("n_worms", "heads", "tails"):
                file[f"labels/{name}"] = getattr(ensemble.worms, name)
            file.attrs["worm_seed"] = ensemble.worm_seed
        if ensemble.state is not None:
            for name, values in ensemble.state._asdict().items():
                file[f"state/{name}"] = values


def open_ensemble(path: str | Path) -> Ensemble:
    """Read an ensemble or worm file. Raises InputError if it is not one, or of another format version."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such ensemble; make one with 'fluxeq sample ... --output {path}'")
    try:
        with h5py.File(path) as file:
            _require_format(path, file.attrs)
            return _read(file)
    except (OSError, KeyError) as error:
        raise InputError(f"{path}: not an ensemble of fluxeq ({error})") from None


def _require_format(path: Path, attributes: Any) -> None:
    found = attributes.get("format_version")
    if found is None:
        raise InputError(f"{path}: an HDF5 file, but not an ensemble of fluxeq")
    if found != FORMAT_VERSION:
        raise InputError(f"{path}: format version {found}, this fluxeq reads {FORMAT_VERSION}; sample it again")


def _read(file: h5py.File) -> Ensemble:
    attributes = file.attrs
    worms = state = None
    configurations = file["configurations"][:]
    if "labels" in file:
        worms = OpenWorms(configurations, *(file[f"labels/{name}"][:] for name in ("n_worms", "heads", "tails")))
    if "state" in file:
        state = Chains(*(file[f"state/{name}"][:] for name in Chains._fields))
    return Ensemble(
        Theory(*(float(attributes[name]) for name in ("eta", "lam", "mu"))),
        tuple(int(extent) for extent in attributes["shape"]),
        int(attributes["seed"]),
        int(attributes["chains"]),
        Tuning(
            int(attributes["spacing"]),
            int(attributes["thermalisation"]),
            float(attributes["tau_int"]),
            float(attributes["entry"]),
        ),
        configurations,
        file["chain"][:],
        file["sweep"][:],
        file["observables/n"][:],
        file["observables/phi2"][:],
        worms,
        int(attributes["worm_seed"]) if worms is not None else None,
        state,
    )


def require_disjoint(purposes: Mapping[str, Sequence[Ensemble]]) -> None:
    """Raise InputError if ensembles meant for different purposes come from the same chains."""
    owner: dict[str, str] = {}
    for purpose, ensembles in purposes.items():
        for origin in origins(ensembles):
            if owner.setdefault(origin, purpose) != purpose:
                raise InputError(
                    f"{purpose} and {owner[origin]} share chains ({origin}): they must be independent; "
                    "sample one of them with another seed"
                )


def origins(ensembles: Iterable[Ensemble]) -> list[str]:
    """The different origins of some ensembles, in order."""
    return list(dict.fromkeys(ensemble.origin for ensemble in ensembles))
