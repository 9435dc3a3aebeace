"""Configurations from elsewhere: any convention is read, and invalid ones are refused."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

import small_ensembles
from fluxeq.data.ensembles import open_ensemble, save_ensemble
from fluxeq.data.exports import export
from fluxeq.data.generation import open_worms, sample
from fluxeq.data.imports import imported
from fluxeq.errors import InputError
from fluxeq.theory import Theory

THEORY = Theory(4.01, 1, 1.5)


@pytest.fixture(scope="module")
def ensemble():
    return sample(THEORY, (6, 4, 3), 20, chains=2, seed=3)


def saved(path, **arrays):
    np.savez(path, **arrays)
    return path


def links_that_end(x):
    d = x.ndim - 2
    return np.stack([np.roll(x[:, c], 1, axis=1 + c % d) for c in range(2 * d)], axis=1)


OTHERS = {
    "convention of fluxeq": lambda x: x,
    "channels last": lambda x: np.moveaxis(x, 1, -1),
    "channels k_t, l_t, k_x, l_x, ...": lambda x: x[:, [0, 3, 1, 4, 2, 5]],
    "directions in reverse order of the axes": lambda x: x[:, [2, 1, 0, 5, 4, 3]],
    "links ending at their site": links_that_end,
    "channels last, links ending at their site": lambda x: np.moveaxis(links_that_end(x), 1, -1),
}


@pytest.mark.parametrize("says", OTHERS)
@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float32])
def test_conventions(tmp_path, ensemble, says, dtype):
    path = saved(tmp_path / "x.npz", configurations=OTHERS[says](ensemble.configurations).astype(dtype), n=ensemble.n)
    found, lines = imported(path, THEORY, n_chains=2)
    assert np.array_equal(found.configurations, ensemble.configurations)
    assert lines[0].endswith(f"), {says}")
    assert lines[1].startswith("20 configurations from 2 chains, no open ends, fluxes up to ")
    assert lines[2] == "labels checked: n"


def test_time_last(tmp_path, ensemble):
    moved = np.moveaxis(ensemble.configurations, 2, -1)[:, [1, 2, 0, 4, 5, 3]]
    path = saved(tmp_path / "x.npz", configurations=moved, n=ensemble.n)
    with pytest.raises(InputError, match="time is the last axis: use --time-last"):
        imported(path, THEORY)
    assert np.array_equal(imported(path, THEORY, time_last=True)[0].configurations, ensemble.configurations)


@pytest.mark.parametrize("opened", [False, True])
def test_what_was_exported(tmp_path, ensemble, opened):
    """It comes back unchanged, including labels and chains."""
    there = open_worms(ensemble, [0, 2]) if opened else ensemble
    save_ensemble(tmp_path / "e.h5", there)
    assert export(tmp_path / "e.h5", tmp_path / "e.npz") == 20
    found, lines = imported(tmp_path / "e.npz", THEORY)
    assert lines[2] == "labels checked: n, phi2, n_worms"
    save_ensemble(tmp_path / "again.h5", found)
    again = open_ensemble(tmp_path / "again.h5")
    again.verify()
    for name in ("configurations", "chain", "n", "phi2", "n_worms"):
        assert np.array_equal(getattr(again, name), getattr(there, name)), name
    assert (again.worms is not None) == opened
    if opened:
        ends = [
            {(i, *site) for i, each in enumerate(sites) for site in map(tuple, each) if site[0] >= 0}
            for worms in (again.worms, there.worms)
            for sites in (worms.heads, worms.tails)
        ]
        assert ends[:2] == ends[2:]


def test_hdf5_and_two_arrays(tmp_path, ensemble):
    k, l = np.split(ensemble.configurations, 2, axis=1)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["fields/k"], file["fields/l"], file["run/chain"] = k, l, 7 + ensemble.chain
    found, _ = imported(tmp_path / "x.h5", THEORY)
    assert np.array_equal(found.configurations, ensemble.configurations)
    assert np.array_equal(found.chain, ensemble.chain)
    np.save(tmp_path / "x.npy", ensemble.configurations)
    assert imported(tmp_path / "x.npy", THEORY)[0].origin == found.origin


def test_csv(tmp_path):
    save_ensemble(tmp_path / "e.h5", small_ensembles.closed(1))
    export(tmp_path / "e.h5", tmp_path / "e.csv", ["n", "phi2", "fluxeq.observables:phi2"])
    lines = (tmp_path / "e.csv").read_text().splitlines()
    assert lines[0] == "configuration,chain,sweep,n,phi2,fluxeq.observables:phi2,n_worms"
    assert len(lines) == 41


def changed(x, where, value):
    y = x.copy()
    y[where] = value
    return y


WRONG = {
    "have open ends, e.g. configuration 1 at": lambda x: changed(x, (1, 0, 0, 0, 0), x[1, 0, 0, 0, 0] + 1),
    "both halves of the channels have negative values": lambda x: (
        changed(x, (0, 3, 0, 0, 0), -1) - (np.arange(6) == 0)[:, None, None, None]
    ),
    "a flux of 128: the maximum is 127": lambda x: changed(x.astype(int), (0, 0, 0, 0, 0), 128),
    "with non-integer values": lambda x: x + 0.5,
    "an array of float64": lambda x: changed(x.astype(float), (0, 0, 0, 0, 0), np.nan),
    "an array of <U3": lambda x: x.astype("U3"),
    r"must be \(n, 2 d, \*shape\) or \(n, \*shape, 2 d\)": lambda x: x[:, :5],
    r"an array \(0, ": lambda x: x[:0],
    r"an array \(6,\)": lambda x: x[0, :, 0, 0, 0],
}


@pytest.mark.parametrize("message", WRONG)
def test_what_cannot_be_configurations(tmp_path, ensemble, message):
    path = saved(tmp_path / "x.npz", configurations=WRONG[message](ensemble.configurations))
    with pytest.raises(InputError, match=message):
        imported(path, THEORY)


def test_wrong_labels(tmp_path, ensemble):
    """From other couplings, with the opposite sign, or in a wrong number."""
    x = ensemble.configurations
    for arrays, message in (
        ({"n": -ensemble.n}, "k has the opposite sign in the file"),
        ({"n": ensemble.n + 0.1}, "n of configuration 0 is "),
        ({"n": ensemble.n[:5]}, r"n has shape \(5,\) for 20 configurations"),
        ({"phi2": replace(ensemble, theory=Theory(4.25, 1, 1)).phi2 * 1.01}, "check the couplings"),
        ({"n_worms": np.ones(20)}, "n_worms of configuration 0 is 0, but its label is 1"),
    ):
        with pytest.raises(InputError, match=message):
            imported(saved(tmp_path / "x.npz", configurations=x, **arrays), THEORY)
    with pytest.raises(InputError, match="20 configurations in 3 chains: chains must have equal length"):
        imported(saved(tmp_path / "x.npz", configurations=x), THEORY, n_chains=3)
    with pytest.raises(InputError, match=r"no array 'configurations'; choose one with --key among: fields \(20, 6"):
        imported(saved(tmp_path / "x.npz", fields=x), THEORY)


@pytest.mark.parametrize("name", ["x.npz", "x.npy", "x.h5", "x.txt"])
def test_other_files(tmp_path, name):
    (tmp_path / name).write_text("nothing of the kind")
    with pytest.raises(InputError, match="neither npz nor npy nor HDF5"):
        imported(tmp_path / name, THEORY)
    with pytest.raises(InputError, match="no such file"):
        imported(tmp_path / "other", THEORY)
