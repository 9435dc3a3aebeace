"""Ensemble files: round trips, and detection of damage."""

import hashlib
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, replace

import h5py
import numpy as np
import pytest

import fluxeq
import full_disks
import small_ensembles
from damage import damages
from fluxeq import observables
from fluxeq.data import ensembles, hdf5
from fluxeq.data.checkpoints import sample_to_file
from fluxeq.data.ensembles import (
    joined,
    open_ensemble,
    origins,
    read_series,
    save_blocks,
    save_ensemble,
)
from fluxeq.data.generation import Settings
from fluxeq.errors import InputError
from fluxeq.theory import FluxTheory

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    made = {"closed": small_ensembles.closed(1), "opened": small_ensembles.opened(1, (0, 3))}
    return small_ensembles.save(tmp_path_factory.mktemp("ensembles"), made)


@pytest.fixture
def paths(saved, tmp_path):
    """Copies that may be damaged."""
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
            *("eta", "lam", "mu"),
            *ensembles.ATTRIBUTES,
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


def test_any_hdf5_library_reads_the_file(saved):
    """From version 1.10 on: standard filters, and no bytes before the HDF5 data."""
    with h5py.File(saved["opened"]) as file:
        for name in all_names(file):
            if isinstance(file[name], h5py.Dataset):
                assert file[name].compression == "gzip", name
                assert file[name].shuffle
                assert file[name].fletcher32
    assert saved["opened"].read_bytes().startswith(b"\x89HDF\r\n")


def test_a_small_ensemble_is_a_small_file(tmp_path):
    save_ensemble(tmp_path / "e.h5", small_ensembles.closed(1, n=10, shape=(6, 4)))
    assert (tmp_path / "e.h5").stat().st_size < 13_000


def test_not_an_ensemble(tmp_path):
    path = tmp_path / "e.h5"
    with pytest.raises(InputError, match=r"e\.h5: no such ensemble; make one with 'fluxeq sample"):
        open_ensemble(path)
    for content in (b"", b"a text", b"\0" * 1000):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"e\.h5: not an ensemble of fluxeq, of an earlier format, or damaged"):
            open_ensemble(path)
    with h5py.File(path, "w") as file:
        file["x"] = [1, 2]
    with pytest.raises(InputError, match=r"e\.h5: not an ensemble of fluxeq, .* no checksum at its end; sample it"):
        open_ensemble(path)
    seal(path)
    with pytest.raises(InputError, match=r"e\.h5: not an ensemble of fluxeq \("):
        open_ensemble(path)
    with pytest.raises(InputError, match="no such ensemble"):
        open_ensemble(tmp_path)


def seal(path):
    """Append a valid checksum to a file."""
    content = path.read_bytes()
    path.write_bytes(content + hdf5.MARK + hashlib.sha256(content).hexdigest().encode())


@contextmanager
def changed(path):
    """A file that may be changed; it then gets a valid checksum."""
    with h5py.File(path, "r+") as file:
        yield file
    seal(path)


def test_another_format_version(paths):
    with changed(paths["closed"]) as file:
        file.attrs["format_version"] = 99
    with pytest.raises(InputError, match=r"closed\.h5: format version 99, this fluxeq reads 5; sample it again"):
        open_ensemble(paths["closed"])


@pytest.mark.parametrize("name", ["configurations", "chain", "observables/phi2", "labels/heads"])
def test_a_missing_part(paths, name):
    with changed(paths["opened"]) as file:
        del file[name]
    with pytest.raises(InputError, match="not an ensemble of fluxeq"):
        open_ensemble(paths["opened"])


@pytest.mark.parametrize("name", ["eta", "theory", "couplings", "seed", "worm_seed", "format_version"])
def test_a_missing_attribute(paths, name):
    with changed(paths["opened"]) as file:
        del file.attrs[name]
    with pytest.raises(InputError, match="not an ensemble of fluxeq"):
        open_ensemble(paths["opened"])


def shorter(file, name):
    values = file[name][:-1]
    del file[name]
    file[name] = values


@pytest.mark.parametrize("name", ["configurations", "chain", "observables/n"])
def test_arrays_that_do_not_fit_each_other(paths, name):
    with changed(paths["closed"]) as file:
        shorter(file, name)
    with pytest.raises(InputError, match=r"not an ensemble of fluxeq \(its arrays do not match\)"):
        open_ensemble(paths["closed"])


@pytest.mark.parametrize("shape", [(4, 5), (10**9, 10**9), (4, 4, 4), "x", 3])
def test_a_shape_of_another_lattice(paths, shape):
    with changed(paths["closed"]) as file:
        file.attrs["shape"] = shape
    with pytest.raises(InputError, match="not an ensemble of fluxeq"):
        open_ensemble(paths["closed"])


def test_configurations_of_another_type(paths):
    with changed(paths["closed"]) as file:
        values = file["configurations"][:].astype(float)
        del file["configurations"]
        file["configurations"] = values
    with pytest.raises(InputError, match="its configurations are float64, not int8"):
        open_ensemble(paths["closed"])


def test_changed_by_another_program(paths):
    with h5py.File(paths["closed"], "r+") as file:
        file.attrs["mu"] = 1.0
    with pytest.raises(InputError, match=r"no checksum at its end|changed since it was"):
        open_ensemble(paths["closed"])


READS = (open_ensemble, read_series, lambda path: open_ensemble(path, 1))


def test_every_byte_counts(tmp_path):
    """HDF5 never reads a damaged file, which could crash it or give another value of mu."""
    path = tmp_path / "e.h5"
    save_ensemble(path, small_ensembles.closed(1, n=8))
    whole = path.read_bytes()
    for i, content in enumerate(damages(whole)):
        path.unlink()  # some disks sync overwritten files
        path.write_bytes(content)
        with pytest.raises(InputError) as failed:
            READS[i % len(READS)](path)
        assert "damaged" in str(failed.value)
        assert "\n" not in str(failed.value)
    path.write_bytes(whole)
    open_ensemble(path).verify()


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
    with changed(paths["opened"]) as file:
        file[name][index] += change
    with pytest.raises(InputError, match=r"of configuration 7 is stored as .*the file is damaged, sample it again"):
        open_ensemble(paths["opened"]).verify()


def test_ensembles_of_one_origin_are_not_independent():
    one, two, worms = small_ensembles.closed(1), small_ensembles.closed(2), small_ensembles.opened(1)
    assert origins([one, worms, two, small_ensembles.closed(1, n=60)]) == [one.origin, two.origin]


@pytest.mark.parametrize("change", [{"seed": 2}, {"shape": (4, 6)}, {"theory": fluxeq.Theory(4.01, 1, 1.50000001)}])
def test_every_part_of_the_origin_counts(change):
    one = small_ensembles.closed(1)
    assert replace(one, **change).origin != one.origin


def test_blocks_of_any_size_make_one_file(tmp_path):
    """Empty blocks as well: a chunk is written when it is full, or at the end."""
    made = small_ensembles.closed(1)
    save_ensemble(tmp_path / "whole.h5", made)
    parts = [replace(joined([made], 0)), *(block(made, i, i + 3) for i in range(0, 40, 3))]
    save_blocks(tmp_path / "parts.h5", parts)
    assert small_ensembles.arrays(open_ensemble(tmp_path / "parts.h5")) == small_ensembles.arrays(made)
    with h5py.File(tmp_path / "parts.h5") as file:
        assert file["configurations"].chunks[0] == file["chain"].chunks[0] == len(made)


def block(ensemble, first, stop):
    """A part of an ensemble."""
    arrays = {name: getattr(ensemble, name)[first:stop] for name in ("configurations", "chain", "sweep")}
    values = {name: array[first:stop] for name, array in ensemble.observables.items()}
    return replace(ensemble, **arrays, observables=values)


def test_a_long_file_has_chunks_of_many_rows(tmp_path, monkeypatch):
    """HDF5 keeps some memory per chunk: a million chunks of one row take gigabytes."""
    made = small_ensembles.closed(1)
    monkeypatch.setattr(ensembles, "CHUNK_BYTES", 10 * made.configurations[0].nbytes)
    save_blocks(tmp_path / "a.h5", [joined([made], 0), *(block(made, i, i + 4) for i in range(0, 40, 4))])
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["configurations"].chunks[0] == 10
        assert all(file[name].chunks[0] > 1000 for name in ("observables/n", "chain"))
    assert small_ensembles.arrays(open_ensemble(tmp_path / "a.h5")) == small_ensembles.arrays(made)


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "e.h5"
    save_ensemble(path, small_ensembles.closed(1))
    before = path.read_bytes()
    with pytest.raises(AttributeError):
        save_ensemble(path, replace(small_ensembles.closed(2), worms=object(), worm_seed=1))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@full_disks.needed
@pytest.mark.parametrize("n", [8, 4000])
def test_a_full_disk(tmp_path, n):
    """HDF5 itself would crash at exit. The sizes cover the last bytes, and many blocks."""
    made = small_ensembles.closed(1, n=8)
    blocks = [block(made, i, i + 1) for i in range(8)] * (n // 8)
    save_blocks(tmp_path / "e.h5", blocks)
    with full_disks.of(tmp_path / "disk", "1m") as disk:
        room = (tmp_path / "e.h5").stat().st_size
        for size in range(4096, room, max(4096, room // 10 // 4096 * 4096)):
            full_disks.resize(disk, str(size))
            with pytest.raises(OSError, match="No space left on device") as failed:
                save_blocks(disk / "e.h5", blocks)
            assert failed.value.filename == str(disk / "e.h5")
            assert list(disk.iterdir()) == []
        full_disks.resize(disk, "1m")
        save_blocks(disk / "e.h5", blocks)
        assert (disk / "e.h5").read_bytes() == (tmp_path / "e.h5").read_bytes()


def test_a_signal_while_hdf5_writes(tmp_path, monkeypatch):
    """It is hidden from HDF5 too, and raised as soon as HDF5 has finished."""

    class StoppedError(BaseException):
        pass

    written = hdf5.DeferredErrors.write

    def write(self, data):
        if self.tell() > 3000 and self._error is None:
            self._error = StoppedError()
        return written(self, data)

    monkeypatch.setattr(hdf5.DeferredErrors, "write", write)
    with pytest.raises(StoppedError):
        save_ensemble(tmp_path / "e.h5", small_ensembles.closed(1))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["hops", "rng", "tally"])
@pytest.mark.parametrize("change", [lambda a: a.astype(np.float64), lambda a: a[0], lambda a: a[:1]])
def test_the_state_of_other_chains_is_refused(tmp_path, name, change):
    """Valid checksums, but chains that cannot be continued."""
    ensemble = small_ensembles.closed(1)
    state = ensemble.state._replace(**{name: change(getattr(ensemble.state, name))})
    save_ensemble(tmp_path / "e.h5", replace(ensemble, state=state))
    with pytest.raises(InputError, match=f"not an ensemble of fluxeq \\(state/{name} is "):
        open_ensemble(tmp_path / "e.h5")


def test_measured_in_memory():
    ensemble = small_ensembles.closed(1)
    found = ensemble.measure()
    assert list(found) == ["n", "phi2"]
    assert found["n"].value == ensemble.n.mean()
    assert list(ensemble.measure("phi2")) == ["phi2"]
    assert repr(ensemble) == "Ensemble(eta 4.01, lam 1.0, mu 1.5, 4x4, seed 1, 40 configurations from 4 chains)"


def twice(theory, configurations):
    return 2 * observables.n(theory, configurations)


def test_measured_functions():
    """Under their own names, together with those of the registry."""
    ensemble = small_ensembles.closed(1)
    found = ensemble.measure("n", twice)
    assert found["twice"].value == pytest.approx(2 * found["n"].value)
    np.testing.assert_allclose(ensemble.observable(twice), 2 * ensemble.n)
    assert list(ensemble.measure("n", "n", twice, twice)) == ["n", "twice"]
    with pytest.raises(InputError, match=r"^n, n: two observables have the same name$"):
        ensemble.measure("n", observables.n)
    with pytest.raises(InputError, match="observable '<lambda>': must return one number each"):
        ensemble.measure(lambda theory, configurations: configurations)


def test_a_theory_that_is_not_here(paths):
    with changed(paths["closed"]) as file:
        file.attrs["theory"], file.attrs["theory_class"] = "xy", "somebody.xy:XY"
    message = r"closed\.h5: needs the Python module somebody\.xy for its theory"
    with pytest.raises(InputError, match=message):
        open_ensemble(paths["closed"])


@dataclass(frozen=True)
class Seeded(FluxTheory):
    """A theory with a coupling named like an attribute of the files."""

    seed: float = 1.0

    def log_site_weight(self, f):
        return np.zeros(f.shape)

    def hop_weights(self, d):
        return np.full(2 * d, 0.2)


def test_a_coupling_whose_name_is_taken(tmp_path):
    message = "test_ensembles:Seeded': seed is an attribute of every ensemble; rename that coupling"
    with pytest.raises(InputError, match=message):
        sample_to_file(tmp_path / "e.h5", Settings(Seeded(), (3,), 4, 4, 1))
    with pytest.raises(InputError, match=message):
        save_ensemble(tmp_path / "e.h5", fluxeq.sample(Seeded(), (3,), 4, seed=1))
    assert not any(tmp_path.iterdir())
