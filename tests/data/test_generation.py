"""Ensembles made in one go, in two halves, and after a kill are identical."""

import shutil
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

import fluxeq
import small_ensembles
from fluxeq import exact, observables
from fluxeq.data import checkpoints, generation
from fluxeq.data.checkpoints import sample_to_file
from fluxeq.data.ensembles import open_ensemble, read_series
from fluxeq.data.generation import Settings
from fluxeq.data.goal import Goal
from fluxeq.errors import FluxOverflowError, InputError, StabilityError
from fluxeq.sampling import gpu
from fluxeq.system import capacity, files
from fluxeq.system.files import sole_owner
from fluxeq.testing import z_score
from fluxeq.theory import Theory

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors

THEORY = Theory(4.01, 1, 1.5)
SETTINGS = Settings(THEORY, (4, 2), 23, 4, 1)
BLOCK = 2 * 4 * 2 * 8  # bytes of one turn of all chains


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    """Two turns of the chains between checkpoints."""
    monkeypatch.setattr(generation, "PART_BYTES", 2 * BLOCK)


@pytest.fixture(scope="module")
def once():
    """The same ensemble in memory, in one block."""
    return small_ensembles.arrays(fluxeq.sample(THEORY, (4, 2), 23, chains=4, seed=1))


class Killed(BaseException):
    """Stands for the death of the process."""


def killer(n):
    """A progress function that ends the process at its n-th call after thermalisation."""
    calls = []

    def progress(done, total, remark):
        calls.extend([] if remark else [done])
        if len(calls) == n:
            raise Killed

    return progress


def content(path):
    return small_ensembles.arrays(open_ensemble(path))


def test_a_file_is_what_is_made_in_memory(once, tmp_path):
    path, seen = tmp_path / "new" / "e.h5", []
    assert sample_to_file(path, SETTINGS, progress=lambda *said: seen.append(said))
    assert content(path) == once
    assert [said[:2] for said in seen if not said[2]] == [(0, 23), (8, 23), (16, 23), (20, 23)]
    assert seen[0][2] == "thermalising, from low- and high-density starts"
    assert all(said[2].startswith("thermalising, pilot: stride ") for said in seen[1:-4])
    assert list(path.parent.iterdir()) == [path]
    assert len(open_ensemble(path)) == 23
    open_ensemble(path).verify()


@pytest.mark.parametrize("first", [1, 8, 10, 20, 22])
def test_half_and_half_are_one_run(once, tmp_path, first):
    """Also if the first part is not divisible by the number of chains."""
    path = tmp_path / "e.h5"
    assert sample_to_file(path, SETTINGS._replace(n_configurations=first))
    assert len(open_ensemble(path)) == first
    assert sample_to_file(path, SETTINGS)
    assert content(path) == once
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_a_killed_run_goes_on_to_the_same_file(once, tmp_path, call):
    path = tmp_path / "e.h5"
    with pytest.raises(Killed):
        sample_to_file(path, SETTINGS, progress=killer(call))
    assert not path.exists()
    assert (tmp_path / "e.h5.parts").is_dir()
    seen = []
    assert sample_to_file(path, SETTINGS, progress=lambda done, total, remark: seen.append(done))
    assert seen[0] == (0, 8, 16, 20)[call - 1]  # nothing is sampled twice
    assert content(path) == once


@pytest.mark.parametrize("name", ["000000000-tuned.h5", "000000000.h5", "000000002.h5"])
@pytest.mark.parametrize("change", ["damaged", "missing"])
def test_a_damaged_part_and_later_ones_are_made_again(once, tmp_path, caplog, name, change):
    """Reported in one line; earlier parts are kept. If only the tuned start is missing, the next part suffices."""
    path = tmp_path / "e.h5"
    with pytest.raises(Killed):
        sample_to_file(path, SETTINGS, progress=killer(4))
    part = tmp_path / "e.h5.parts" / name
    whole = part.read_bytes()
    part.unlink()
    if change == "damaged":
        part.write_bytes(whole[:200] + b"0" + whole[201:])
    seen = []
    assert sample_to_file(path, SETTINGS, progress=lambda done, total, remark: seen.append((done, remark)))
    again = not (change == "missing" and name == "000000000-tuned.h5")
    assert next(done for done, remark in seen if not remark) == (int(name[:9]) * 4 if again else 20)
    assert content(path) == once
    assert len(caplog.messages) == again
    assert all(line.endswith("; this part and all later ones are sampled again") for line in caplog.messages)
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_extension_goes_on_to_the_same_file(once, tmp_path):
    path = tmp_path / "e.h5"
    sample_to_file(path, SETTINGS._replace(n_configurations=6))
    with pytest.raises(Killed):
        sample_to_file(path, SETTINGS, progress=killer(2))
    assert len(open_ensemble(path)) == 6
    assert sample_to_file(path, SETTINGS)
    assert content(path) == once


@pytest.mark.parametrize("n", [10, 9, 2])
def test_a_kill_before_the_parts_are_removed(once, tmp_path, monkeypatch, n):
    """The file is complete, but its parts still exist: the same command removes them; an extension works either way."""
    path = tmp_path / "e.h5"
    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "remove", lambda path: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            sample_to_file(path, SETTINGS._replace(n_configurations=n))
    kept = shutil.copytree(tmp_path, tmp_path / "kept")
    assert not sample_to_file(path, SETTINGS._replace(n_configurations=n))
    assert not path.with_name("e.h5.parts").exists()
    for found in (path, kept / "e.h5"):
        assert sample_to_file(found, SETTINGS)
        assert len(open_ensemble(found)) == 23
        assert content(found) == once


@pytest.mark.parametrize("n", [23, 22, 1])
def test_what_is_complete_stays_as_it_is(tmp_path, n):
    path = tmp_path / "e.h5"
    sample_to_file(path, SETTINGS)
    before = path.stat().st_mtime_ns
    assert not sample_to_file(path, SETTINGS._replace(n_configurations=n))
    assert path.stat().st_mtime_ns == before


OTHERS = [
    ({"theory": Theory(4.01, 1, 1.4)}, "theory"),
    ({"shape": (2, 4)}, "shape"),
    ({"n_chains": 2}, "n_chains"),
    ({"seed": 2}, "seed"),
]


@pytest.mark.parametrize(("change", "named"), OTHERS)
def test_a_file_of_other_settings_is_refused(tmp_path, change, named):
    path = tmp_path / "e.h5"
    sample_to_file(path, SETTINGS._replace(n_configurations=8))
    with pytest.raises(InputError, match=rf"e\.h5: made with {named} = .*, requested .*choose another output"):
        sample_to_file(path, SETTINGS._replace(**change))
    assert len(open_ensemble(path)) == 8


@pytest.mark.parametrize(("change", "named"), OTHERS)
def test_parts_of_other_settings_are_refused(tmp_path, change, named):
    path = tmp_path / "e.h5"
    with pytest.raises(Killed):
        sample_to_file(path, SETTINGS, progress=killer(2))
    with pytest.raises(InputError, match=rf"e\.h5\.parts: made with {named} = "):
        sample_to_file(path, SETTINGS._replace(**change))


def test_a_start_in_memory():
    """The same as in a file, with progress on standard error."""
    start = fluxeq.sample(THEORY, (4, 2), 23, chains=4, seed=1)
    made = fluxeq.sample(THEORY, (4, 2), 8, chains=4, seed=2, start=start, progress=True)
    assert made.start_origin == start.origin
    assert (made.configurations != fluxeq.sample(THEORY, (4, 2), 8, chains=4, seed=2).configurations).any()


def test_the_seed_and_the_number_of_threads(once):
    assert small_ensembles.arrays(fluxeq.sample(THEORY, (4, 2), 23, chains=4, seed=1, threads=3)) == once
    other = fluxeq.sample(THEORY, (4, 2), 23, chains=4, seed=2)
    assert small_ensembles.arrays(other)["configurations"] != once["configurations"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"shape": (1, 4)}, InputError, "shape 1x4: every extent must be an integer of at least 2"),
        ({"shape": ()}, InputError, "shape empty"),
        ({"n_configurations": 0}, InputError, "configurations = 0: must be an integer of at least 1"),
        ({"n_chains": 0}, InputError, "chains = 0: must be an integer of at least 1"),
        ({"seed": -1}, InputError, "seed = -1"),
        ({"theory": Theory(4.0, 0, 0.5)}, StabilityError, r"raise eta or lam, or lower \|mu\|"),
    ],
)
def test_settings_that_cannot_be(tmp_path, change, error, message):
    with pytest.raises(error, match=message):
        sample_to_file(tmp_path / "e.h5", SETTINGS._replace(**change))
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("device", "message"),
    [("tpu", "device 'tpu': choose cpu or cuda"), ("cuda", r"no CUDA GPU was found \(.+\); leave out --device")],
)
def test_a_device_that_is_not_there(tmp_path, monkeypatch, device, message):
    monkeypatch.setattr(gpu.cuda, "current_context", lambda: (_ for _ in ()).throw(RuntimeError("none here")))
    with pytest.raises(InputError, match=message):
        sample_to_file(tmp_path / "e.h5", SETTINGS, device=device)
    with pytest.raises(InputError, match=message):
        fluxeq.sample(THEORY, (4, 2), 23, device=device)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("theory", "message"),
    [
        (Theory(4.01, 1, 2.8), r"on the link from site .*maximum stored flux is 127"),
        (Theory(-400, 1, 4), r"mu 4\.0: fluxes are larger than 127.*; choose a smaller \|mu\| or larger eta or lam"),
    ],
    ids=["while it runs", "beforehand"],
)
def test_a_flux_that_overflows_is_no_file(tmp_path, theory, message):
    with pytest.raises(FluxOverflowError, match=message):
        sample_to_file(tmp_path / "new" / "folder" / "e.h5", Settings(theory, (2, 2), 4, 1, 0))
    assert not any(tmp_path.iterdir())


SHAPES = {
    "a bond": (Theory(3.0, 0, 0.7), (2,)),
    "a line": (Theory(3.0, 0.1, 0.3), (7,)),
    "a plaquette": (Theory(4.01, 1, 1.5), (2, 2)),
    "dilute": (Theory(4.25, 1, 0.5), (6, 4)),
    "near the onset": (Theory(4.01, 1, 1.0), (6, 4)),
    "three dimensions": (Theory(7.0, 1, 1.2), (3, 2, 2)),
    "large and dense": (Theory(4.01, 1, 1.5), (32, 32)),
    "large and dilute": (Theory(9.0, 1, 1.0), (32, 32)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_any_number_of_chains(name):
    """Fewer chains than pilots need are the first of those needed; more are all used."""
    theory, shape = SHAPES[name]
    made = {
        n: fluxeq.sample(theory, shape, 2 * n, chains=n, seed=3) for n in ((1, 3) if shape[0] > 9 else (1, 2, 3, 5, 33))
    }
    for n, ensemble in made.items():
        assert len(ensemble) == 2 * n
        assert np.bincount(ensemble.chain).tolist() == [2] * n
        assert not observables.divergence(ensemble.configurations).any()
    np.testing.assert_array_equal(made[1].configurations, made[3].configurations[::3])
    assert made[1].tuning == made[3].tuning


@pytest.mark.parametrize("configurations", [1, 2, 7])
def test_fewer_configurations_than_chains(tmp_path, configurations):
    path = tmp_path / "e.h5"
    assert sample_to_file(path, SETTINGS._replace(n_chains=5, n_configurations=configurations))
    found = open_ensemble(path)
    assert found.chain.tolist() == [0, 1, 2, 3, 4, 0, 1][:configurations]
    found.verify()


@pytest.fixture(scope="module")
def lone_chains():
    """n of ensembles of one chain each, with different seeds."""
    return [fluxeq.sample(DILUTE, (4, 2), 400, chains=1, seed=seed).n.mean() for seed in range(16)]


DILUTE = Theory(4.01, 1, 1.05)


@pytest.mark.parametrize(("shift", "agrees"), [(0.0, True), (0.1, False)], ids=["exact", "power"])
def test_one_chain_is_at_rest(lone_chains, shift, agrees):
    """The error is the spread of chains with different seeds."""
    z = z_score(lone_chains, exact.solve(replace(DILUTE, mu=DILUTE.mu + shift), (4, 2)).n)
    assert abs(z) < 4 if agrees else abs(z) > 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": (100000, 100000)}, "shape 100000x100000: choose smaller extents"),
        ({"shape": (10**40, 4)}, "shape 1000.*: choose smaller extents"),
        ({"shape": (40000, 40000)}, "chains = 4 on 40000x40000: more than the 16 GiB of memory"),
        ({"shape": (2.0, 2)}, "shape 2.0x2: every extent must be an integer of at least 2"),
        ({"shape": "42"}, "shape 4x2: every extent must be an integer of at least 2"),
        ({"n_chains": 10**9}, "chains = 1000000000 on 4x2: more than the 16 GiB of memory"),
        ({"n_chains": 10**40}, "chains = 1000.*: more than the 16 GiB of memory"),
        ({"n_chains": 2.5}, "chains = 2.5: must be an integer of at least 1"),
        ({"n_configurations": 10**30}, "configurations = 1000.*: more than the .* GiB of the disk of"),
        ({"n_configurations": 2.5}, "configurations = 2.5: must be an integer of at least 1"),
        ({"seed": 2**64}, "seed = 18446744073709551616: choose one below 2.64"),
        ({"seed": 0.5}, "seed = 0.5: must be an integer of at least 0"),
    ],
)
def test_numbers_that_no_machine_can_hold(tmp_path, monkeypatch, change, message):
    monkeypatch.setattr(capacity, "memory", lambda: 2**34)
    with pytest.raises(InputError, match=message) as failed:
        sample_to_file(tmp_path / "e.h5", SETTINGS._replace(**change))
    assert "\n" not in str(failed.value)
    assert not any(tmp_path.iterdir())


def test_memory_is_asked_before_an_ensemble_is_made_in_it():
    with pytest.raises(InputError, match=r"configurations = 10000000000000: more than the .* GiB of memory"):
        fluxeq.sample(THEORY, (4, 2), 10**13)


def test_the_largest_seed_is_kept(tmp_path):
    sample_to_file(tmp_path / "e.h5", SETTINGS._replace(seed=2**64 - 1, n_configurations=4))
    assert open_ensemble(tmp_path / "e.h5").seed == 2**64 - 1


@pytest.mark.parametrize("threads", [0, -1, 1.5])
def test_threads_that_cannot_be(threads):
    with pytest.raises(InputError, match=rf"threads = {threads}: must be an integer of at least 1"):
        fluxeq.sample(THEORY, (4, 2), 4, threads=threads)


def test_more_threads_than_processors(once):
    assert small_ensembles.arrays(fluxeq.sample(THEORY, (4, 2), 23, chains=4, seed=1, threads=10**6)) == once


def test_two_processes_do_not_make_one_file(tmp_path):
    """The second exits immediately, and the first continues; a lock file left by a killed process does not block."""
    path = tmp_path / "e.h5"
    folder = tmp_path / "e.h5.parts"
    with sole_owner(folder / "lock", "is at work"):
        for _ in range(2):
            with pytest.raises(InputError, match=r"e\.h5\.parts: another process is making the ensemble there"):
                sample_to_file(path, SETTINGS)
        assert [found.name for found in folder.iterdir()] == ["lock"]
    assert not any(tmp_path.iterdir())
    folder.mkdir()
    (folder / "lock").touch()
    assert sample_to_file(path, SETTINGS)
    assert list(tmp_path.iterdir()) == [path]
    assert not sample_to_file(path, SETTINGS)
    assert list(tmp_path.iterdir()) == [path]


def test_a_lock_that_was_removed(tmp_path, monkeypatch):
    """Another process has just finished and removed the file: the lock on it would not exclude a third process."""

    @contextmanager
    def removed(path, *, wait):
        path.unlink(missing_ok=True)
        yield True

    monkeypatch.setattr(files, "locked", removed)
    with pytest.raises(InputError, match="another process is making the ensemble"):
        sample_to_file(tmp_path / "e.h5", SETTINGS)


def test_a_file_system_without_locks(once, tmp_path, monkeypatch):
    @contextmanager
    def none(path, *, wait):
        raise InputError("not support locks")
        yield

    monkeypatch.setattr(files, "locked", none)
    assert sample_to_file(tmp_path / "e.h5", SETTINGS)
    assert content(tmp_path / "e.h5") == once


def test_an_output_that_is_a_link(once, tmp_path):
    """The target file is made and extended; the link is kept."""
    (tmp_path / "far").mkdir()
    link, there = tmp_path / "e.h5", tmp_path / "far" / "there.h5"
    link.symlink_to(there)
    assert sample_to_file(link, SETTINGS._replace(n_configurations=8))
    assert sample_to_file(link, SETTINGS)
    assert link.is_symlink()
    assert content(there) == once
    assert {path.name for path in tmp_path.rglob("*")} == {"e.h5", "far", "there.h5"}


GOAL_SETTINGS = SETTINGS._replace(n_configurations=40000)


def test_until_an_error_is_reached(tmp_path, monkeypatch):
    """It stops at the first check with a sufficiently small error; after a kill it makes the same file."""
    monkeypatch.setattr(generation, "PART_BYTES", 50 * BLOCK)
    path, goal = tmp_path / "e.h5", Goal("n", 0.02)
    assert sample_to_file(path, GOAL_SETTINGS, goals=[goal])
    series = read_series(path).observables["n"]
    n = len(series[0])
    assert n < 10000
    assert goal.reached(series, (4, 2))
    assert not goal.reached([chain[: n // 2] for chain in series], (4, 2))
    made = fluxeq.sample(THEORY, (4, 2), 40000, chains=4, seed=1, until={"n": 0.02})
    assert small_ensembles.arrays(made) == content(path)
    assert not sample_to_file(path, GOAL_SETTINGS, goals=[goal])
    killed = tmp_path / "killed.h5"
    with pytest.raises(Killed):
        sample_to_file(killed, GOAL_SETTINGS, goals=[goal], progress=killer(3))
    assert sample_to_file(killed, GOAL_SETTINGS, goals=[goal])
    assert content(killed) == content(path)
    open_ensemble(path).verify()


def test_until_is_bounded(tmp_path):
    assert sample_to_file(tmp_path / "e.h5", SETTINGS, goals=[Goal("phi2", 1e-9)])
    assert len(open_ensemble(tmp_path / "e.h5")) == 23


def test_a_warm_start(tmp_path):
    """Chains start from the last configurations of other chains, but with their own random numbers."""
    source, path = tmp_path / "source.h5", tmp_path / "e.h5"
    sample_to_file(source, SETTINGS)
    start = open_ensemble(source, 1)
    settings = SETTINGS._replace(seed=2, start_origin=start.origin)
    assert sample_to_file(path, settings, start=start)
    assert open_ensemble(path).start_origin == start.origin
    cold = tmp_path / "cold.h5"
    sample_to_file(cold, SETTINGS._replace(seed=2))
    assert (open_ensemble(path).configurations != open_ensemble(cold).configurations).any()
    with pytest.raises(InputError, match=r"made with start = eta 4\.01, .*, requested nothing"):
        sample_to_file(path, SETTINGS._replace(seed=2))
    lone = tmp_path / "lone.h5"
    sample_to_file(lone, settings._replace(n_chains=1, n_configurations=6), start=start)
    np.testing.assert_array_equal(open_ensemble(lone).configurations, open_ensemble(path).configurations[::4])
    with pytest.raises(InputError, match="must be a closed ensemble on the lattice 2x2"):
        sample_to_file(tmp_path / "other.h5", settings._replace(shape=(2, 2)), start=start)


def test_what_a_killed_writer_left_is_removed(tmp_path):
    """Only those of this file; temporary files of others are kept. A circular link is refused."""
    left, other = tmp_path / ".e.0123abcd.unfinished.h5", tmp_path / ".e2.0123abcd.unfinished.h5"
    for path in (left, other):
        path.write_bytes(b"half")
    sample_to_file(tmp_path / "e.h5", SETTINGS)
    assert not left.exists()
    assert other.exists()
    (tmp_path / "a.h5").symlink_to(tmp_path / "b.h5")
    (tmp_path / "b.h5").symlink_to(tmp_path / "a.h5")
    with pytest.raises(InputError, match="choose another place"):
        sample_to_file(tmp_path / "a.h5", SETTINGS)
