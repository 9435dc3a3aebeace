"""Import of configurations from npz, npy or HDF5 files, with detection of their convention and consistency checks.

The convention of fluxeq is int8 ``(n, 2 d, *shape)``, time first, channels k_t, k_x, ..., l_t, l_x, ..., and
``k[nu, x]`` on the link from x to x + nu_hat. In a wrong convention flux conservation is violated, except by accident;
the first convention in which all configurations conserve it is therefore chosen.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pandas

from fluxeq import observables
from fluxeq.data.ensembles import Ensemble, stored_observables
from fluxeq.errors import InputError
from fluxeq.sampling.drivers import LARGEST_FLUX
from fluxeq.sampling.open_worms import OpenWorms
from fluxeq.sampling.tuning import Tuning
from fluxeq.theory import FluxTheory

UNKNOWN = Tuning(spacing=0, thermalisation=0, tau_int=np.nan, entry=np.nan)
"""The tuning of imported configurations is unknown."""
TOLERANCE = 1e-5
"""Tolerance for labels, which may be float32."""


class Convention(NamedTuple):
    """Memory layout of an array of configurations."""

    channels_last: bool
    interleaved: bool
    """Channels k_t, l_t, k_x, l_x, ..."""
    directions_reversed: bool
    """Channels ..., k_x, k_t with axes t, x, ..."""
    links_end: bool
    """k[nu, x] is on the link from x - nu_hat to x."""

    def __str__(self) -> str:
        parts = (
            (self.channels_last, "channels last"),
            (self.interleaved, "channels k_t, l_t, k_x, l_x, ..."),
            (self.directions_reversed, "directions in reverse order of the axes"),
            (self.links_end, "links ending at their site"),
        )
        return ", ".join(text for is_so, text in parts if is_so) or "convention of fluxeq"

    def read(self, array: np.ndarray) -> np.ndarray:
        """Convert an array to the convention of fluxeq."""
        x = np.moveaxis(array, -1, 1) if self.channels_last else array
        d = x.ndim - 2
        if self.interleaved:
            x = np.concatenate([x[:, ::2], x[:, 1::2]], axis=1)
        if self.directions_reversed:
            x = np.concatenate([x[:, :d][:, ::-1], x[:, d:][:, ::-1]], axis=1)
        if self.links_end:
            x = np.stack([np.roll(x[:, channel], -1, axis=1 + channel % d) for channel in range(2 * d)], axis=1)
        return x


def imported(
    path: Path,
    theory: FluxTheory,
    *,
    key: str | None = None,
    time_last: bool = False,
    n_chains: int = 1,
    with_worms: bool = False,
) -> tuple[Ensemble, list[str]]:
    """Import an ensemble from a file of another program; also returns lines that describe what was found.

    The file holds ``n_chains`` consecutive chains of equal length, unless it has an array ``chain``. Labels in it (n,
    phi2, n_worms) are checked. ``with_worms`` accepts open worms. Raises InputError for an array that cannot be
    configurations, unexpected open worms, and labels that disagree with the configurations.
    """
    arrays = _arrays(path)
    raw, name = _configurations(path, arrays, key)
    convention, x = _detect_convention(path, raw)
    if time_last:
        x = _time_first(x)
    chain = _chains(path, arrays, len(x), n_chains)
    worms = _open_worms(path, x, with_worms, "n_worms" in arrays)
    seed = int.from_bytes(hashlib.sha256(x.tobytes()).digest()[:6], "big")  # identifies the chains
    places = pandas.Series(chain).groupby(chain).cumcount().to_numpy()
    content = x, chain, places, stored_observables(theory, x), worms
    ensemble = Ensemble(theory, x.shape[2:], seed, int(chain.max()) + 1, UNKNOWN, *content, 0 if worms else None)
    checked = [label for label in ("n", "phi2", "n_worms") if label in arrays]
    for label in checked:
        _require_label(path, label, arrays[label], ensemble)
    found = f"open worms, at most {int(ensemble.n_worms.max())}" if worms else "no open ends"
    return ensemble, [
        f"{name}: {raw.dtype} {raw.shape}, {'time last, ' if time_last else ''}{convention}",
        f"{len(ensemble)} configurations from {ensemble.n_chains} chains, {found}, fluxes up to {int(np.abs(x).max())}",
        f"labels checked: {', '.join(checked) or 'none found'}",
    ]


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a file, by the last component of their names."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        if path.suffix == ".npy":
            return {"configurations": np.load(path, allow_pickle=False)}
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        found: dict[str, np.ndarray] = {}
        with h5py.File(path) as file:
            file.visititems(lambda name, item: _keep(found, name, item))
        return found
    except MemoryError:
        raise
    except Exception as error:  # whatever NumPy, zipfile, zlib and h5py raise for damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: neither npz nor npy nor HDF5 ({reason:.200})") from None


def _keep(found: dict[str, np.ndarray], name: str, item: object) -> None:
    if isinstance(item, h5py.Dataset):
        found[name.rpartition("/")[2]] = item[()]


def _configurations(path: Path, arrays: Mapping[str, np.ndarray], key: str | None) -> tuple[np.ndarray, str]:
    """The array of configurations and its name."""
    if key is None and "configurations" not in arrays and {"k", "l"} <= set(arrays):
        if arrays["k"].shape != arrays["l"].shape:
            raise InputError(f"{path}: k is {arrays['k'].shape} and l is {arrays['l'].shape}: shapes must agree")
        axis = 1 if arrays["k"].shape[1:2] == (arrays["k"].ndim - 2,) else -1
        return np.concatenate([arrays["k"], arrays["l"]], axis=axis), "k and l"
    name = key or "configurations"
    if name not in arrays:
        listed = ", ".join(f"{each} {array.shape}" for each, array in arrays.items()) or "nothing"
        raise InputError(f"{path}: no array {name!r}; choose one with --key among: {listed:.300}")
    return arrays[name], name


def _detect_convention(path: Path, raw: np.ndarray) -> tuple[Convention, np.ndarray]:
    """The convention with the least violation of flux conservation, and the array in the convention of fluxeq."""
    d = raw.ndim - 2
    if d < 1 or 2 * d not in (raw.shape[1], raw.shape[-1]) or not raw.size:
        raise InputError(
            f"{path}: an array {raw.shape}: must be (n, 2 d, *shape) or (n, *shape, 2 d), with d = len(shape)"
        )
    if raw.dtype.kind not in "iuf" or not np.isfinite(raw).all() or (raw != np.round(raw)).any():
        raise InputError(f"{path}: an array of {raw.dtype} with non-integer values: fluxes must be integers")
    if np.abs(raw).max() > LARGEST_FLUX:
        raise InputError(f"{path}: a flux of {np.abs(raw).max():g}: the maximum is {LARGEST_FLUX}")
    x = raw.astype(np.int8)
    fitting = [(convention, convention.read(x)) for convention in _conventions(x)]
    right = [(convention, read) for convention, read in fitting if (read[:, d:] >= 0).all()]
    if not right:
        raise InputError(f"{path}: both halves of the channels have negative values, but l must be non-negative")
    return min(right, key=lambda one: int(np.abs(observables.divergence(one[1])).sum()))


def _conventions(x: np.ndarray) -> Iterator[Convention]:
    """All conventions compatible with the shape of the array, that of fluxeq first."""
    d = x.ndim - 2
    places = [last for last in (False, True) if x.shape[-1 if last else 1] == 2 * d]
    yes_or_no = (False, True) if d > 1 else (False,)
    yield from map(Convention._make, product(places, yes_or_no, yes_or_no, (False, True)))


def _time_first(x: np.ndarray) -> np.ndarray:
    """Convert configurations with time last to time first, axes and channels."""
    d = x.ndim - 2
    channels = [d - 1, *range(d - 1), 2 * d - 1, *range(d, 2 * d - 1)]
    return np.ascontiguousarray(np.moveaxis(x, -1, 2)[:, channels])


def _chains(path: Path, arrays: Mapping[str, np.ndarray], n: int, n_chains: int) -> np.ndarray:
    """The chain index of each configuration, starting at 0."""
    if "chain" in arrays and arrays["chain"].shape == (n,):
        return np.unique(arrays["chain"], return_inverse=True)[1].astype(np.int64)
    if n_chains < 1 or n % n_chains:
        raise InputError(f"{path}: {n} configurations in {n_chains} chains: chains must have equal length")
    return np.repeat(np.arange(n_chains), n // n_chains)


def _open_worms(path: Path, x: np.ndarray, asked: bool, labelled: bool) -> OpenWorms | None:
    """The ends of open worms, if they are expected; None if every configuration is closed."""
    created = observables.divergence(x)
    n_worms = np.abs(created).sum(axis=tuple(range(1, created.ndim))) // 2
    if not n_worms.any() and not asked:
        return None
    if not asked and not labelled:
        i = int(np.argmax(n_worms > 0))
        raise InputError(
            f"{path}: {np.count_nonzero(n_worms)} of {len(x)} configurations have open ends, e.g. configuration {i} at "
            f"{tuple(map(int, np.argwhere(created[i])[0]))}, in every convention tried; use --worms if this is intended"
        )
    heads, tails = (_sites(created, sign, int(n_worms.max())) for sign in (-1, 1))
    return OpenWorms(x, n_worms, heads, tails)


def _sites(created: np.ndarray, sign: int, n_most: int) -> np.ndarray:
    """Sites at which flux of one sign is created, with multiplicity; int64 ``(n, n_most, d)``, padded with -1."""
    found = np.full((len(created), n_most, created.ndim - 1), -1, dtype=np.int64)
    for i, each in enumerate(np.maximum(sign * created, 0)):
        sites = np.repeat(np.argwhere(each), each[each > 0], axis=0)
        found[i, : len(sites)] = sites
    return found


def _require_label(path: Path, name: str, given: np.ndarray, ensemble: Ensemble) -> None:
    """Raise InputError unless a label agrees with the configurations."""
    found = ensemble.n_worms if name == "n_worms" else ensemble.observables[name]
    if given.shape != found.shape:
        raise InputError(f"{path}: {name} has shape {given.shape} for {len(found)} configurations")
    wrong = ~np.isclose(given, found, rtol=TOLERANCE, atol=TOLERANCE)
    if wrong.any():
        i = int(np.argmax(wrong))
        hint = _advice(name, given, ensemble)
        raise InputError(f"{path}: {name} of configuration {i} is {found[i]:g}, but its label is {given[i]:g}; {hint}")


def _advice(name: str, given: np.ndarray, ensemble: Ensemble) -> str:
    """The probable cause of a wrong label, and the way out."""
    others: dict[str, Callable[[], np.ndarray]] = {
        "time is the last axis: use --time-last": lambda: _time_first(ensemble.configurations),
        "k has the opposite sign in the file": lambda: -ensemble.configurations,
    }
    if name == "n":
        for reason, other in others.items():
            if np.allclose(observables.n(ensemble.theory, other()), given, rtol=TOLERANCE, atol=TOLERANCE):
                return reason
    return "check the couplings and the definition of the labels, or remove them from the file"
