"""Ensemble files: what goes in comes out, and damage is found."""

import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest

import fluxeq
import small_ensembles
from fluxeq.data.ensembles import joined, open_ensemble, origins, require_disjoint, save_blocks, save_ensemble
from fluxeq.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    made = {"closed": small_ensembles.closed(1), "opened": small_ensembles.opened(1, (0, 3))}
    return small_ensembles.save(tmp_path_factory.mktemp("ensembles"), made)


@pytest.fixture
def paths(saved, tmp_path):
    """Copies, to be damaged."""
    return {name: shutil.copy(path, tmp_path / path.name) for name, path in saved.items()}


@pytest.mark.parametrize("name", ["closed", "opened"])
def test_round_trip(saved, name):
    before = {"closed": small_ensembles.closed(1), "opened": small_ensembles.opened(1, (0, 3))}[name]
    after = fluxeq.open_ensemble(str(saved[name]))
    assert small_ensembles.arrays(after) == small_ensembles.arrays(before)
    assert (after.worms is None) == (name == "closed")
    assert (after.state is None) == (name == "opened")
    assert list(saved[name].parent.glob(".*")) == []
    after.verify()


def test_the_file_is_as_the_contract_says(saved):
    with h5py.File(saved["opened"]) as file:
        assert file["configurations"].shape == (40, 4, 4, 4)
        assert file["configurations"].dtype == np.int8
        assert {"chain", "sweep", "observables/n", "observables/phi2", "labels/n_worms"} <= set(all_names(file))
        assert dict(file.attrs).keys() == {
            *("eta", "lam", "mu", "shape", "chains", "seed", "spacing", "thermalisation", "tau_int", "entry", "start"),
            *("version", "format_version", "worm_seed"),
        }


def all_names(file):
    names = []
    file.visit(names.append)
    return names


def test_turns_and_sweeps():
    ensemble = small_ensembles.closed(1)
    tuning = ensemble.tuning
    np.testing.assert_array_equal(ensemble.chain, np.tile(range(4), 10))
    np.testing.assert_array_equal(
        ensemble.sweep, tuning.thermalisation + tuning.spacing * np.repeat(np.arange(1, 11), 4)
    )
    assert ensemble.state.worms[0] == ensemble.sweep[-1]


def test_not_an_ensemble(tmp_path):
    path = tmp_path / "e.h5"
    with pytest.raises(InputError, match=r"e\.h5: no such ensemble; make one with 'fluxeq sample"):
        open_ensemble(path)
    path.write_text("a text")
    with pytest.raises(InputError, match=r"e\.h5: not an ensemble of fluxeq"):
        open_ensemble(path)
    with h5py.File(path, "w") as file:
        file["x"] = [1, 2]
    with pytest.raises(InputError, match=r"e\.h5: an HDF5 file, but not an ensemble of fluxeq"):
        open_ensemble(path)
    with pytest.raises(InputError, match="no such ensemble"):
        open_ensemble(tmp_path)


def test_another_format_version(paths):
    with h5py.File(paths["closed"], "r+") as file:
        file.attrs["format_version"] = 99
    with pytest.raises(InputError, match=r"closed\.h5: format version 99, this fluxeq reads 3; sample it again"):
        open_ensemble(paths["closed"])


@pytest.mark.parametrize("name", ["configurations", "chain", "observables/phi2", "labels/heads"])
def test_a_missing_part(paths, name):
    with h5py.File(paths["opened"], "r+") as file:
        del file[name]
    with pytest.raises(InputError, match="not an ensemble of fluxeq"):
        open_ensemble(paths["opened"])


@pytest.mark.parametrize("name", ["eta", "seed", "worm_seed"])
def test_a_missing_attribute(paths, name):
    with h5py.File(paths["opened"], "r+") as file:
        del file.attrs[name]
    with pytest.raises(InputError, match="not an ensemble of fluxeq"):
        open_ensemble(paths["opened"])


def test_half_a_file(paths):
    content = paths["closed"].read_bytes()
    paths["closed"].write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="not an ensemble of fluxeq"):
        open_ensemble(paths["closed"])


@pytest.mark.parametrize(
    ("name", "index", "change"),
    [
        ("configurations", (7, 0, 1, 2), 1),  # k_t
        ("configurations", (7, 1, 0, 0), -1),  # k_x
        ("configurations", (7, 2, 3, 3), 1),  # l_t
        ("configurations", (7, 3, 0, 2), 2),  # l_x
        ("observables/n", (7,), 1e-6),
        ("observables/phi2", (7,), -1e-6),
        ("labels/n_worms", (7,), 1),
    ],
)
def test_any_damage_is_found(paths, name, index, change):
    with h5py.File(paths["opened"], "r+") as file:
        file[name][index] += change
    with pytest.raises(InputError, match=r"of configuration 7 is stored as .*the file is damaged, sample it again"):
        open_ensemble(paths["opened"]).verify()


def test_ensembles_of_one_origin_are_not_independent():
    one, two = small_ensembles.closed(1), small_ensembles.closed(2)
    worms = small_ensembles.opened(1)
    assert origins([one, worms, two, one]) == [one.origin, two.origin]
    require_disjoint({"training": [one, worms], "validation": [two]})
    for other in (one, worms, small_ensembles.closed(1, n=60)):
        with pytest.raises(InputError, match=r"test and training share chains \(.*another seed"):
            require_disjoint({"training": [one], "validation": [two], "test": [other]})


@pytest.mark.parametrize("change", [{"seed": 2}, {"shape": (4, 6)}, {"theory": fluxeq.Theory(4.01, 1, 1.50000001)}])
def test_every_part_of_the_origin_counts(change):
    one = small_ensembles.closed(1)
    require_disjoint({"training": [one], "test": [replace(one, **change)]})


def test_an_empty_first_block_does_not_make_tiny_chunks(tmp_path):
    """HDF5 keeps something of every chunk in memory: a million chunks of one row take gigabytes."""
    made = small_ensembles.closed(1)
    save_blocks(tmp_path / "a.h5", [joined([made], 0), made])
    with h5py.File(tmp_path / "a.h5") as file:
        assert all(file[name].chunks[0] > 1000 for name in ("configurations", "observables/n", "chain"))
        assert len(file["configurations"]) == len(made.configurations)


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "e.h5"
    save_ensemble(path, small_ensembles.closed(1))
    before = path.read_bytes()
    with pytest.raises(AttributeError):
        save_ensemble(path, replace(small_ensembles.closed(2), worms=object(), worm_seed=1))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
