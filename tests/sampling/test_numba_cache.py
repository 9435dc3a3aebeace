"""Functions are compiled once per machine: loaded if nothing has changed, and compiled otherwise."""

import threading

import numba
import numpy as np
import pytest

from fluxeq.sampling import backends, chains
from fluxeq.sampling.numba_cache import disk_cached
from fluxeq.system.files import locked
from fluxeq.theory import Theory


def doubled(x):
    return 2 * x


def not_to_be_compiled(x):
    return x.nothing


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A file on which the function supposedly depends; the cache is empty."""
    monkeypatch.setenv("FLUXEQ_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "source.py"
    path.write_text("a")
    return path


def loaded(source):
    """How often a fresh copy of the function is loaded and compiled in calls for two types of numbers."""
    function = disk_cached(numba.njit(doubled), (source,))
    assert [function(2), function(1.5), function(4)] == [4, 3.0, 8]
    stats = function.function.stats
    return stats.cache_hits.total(), stats.cache_misses.total()


def test_compiled_once_for_each_type_and_state_of_the_sources(source):
    assert [loaded(source), loaded(source)] == [(0, 2), (2, 0)]
    source.write_text("b")
    assert [loaded(source), loaded(source)] == [(0, 2), (2, 0)]
    source.write_text("a")
    assert loaded(source) == (2, 0)


@pytest.mark.parametrize("pattern", ["*.nbc", "*.nbi", "*.nb?"])
@pytest.mark.parametrize("n_left", [0, 20])
def test_damaged_files_are_written_again(source, tmp_path, pattern, n_left):
    loaded(source)
    damaged = list(tmp_path.rglob(pattern))
    for path in damaged:
        path.write_bytes(path.read_bytes()[:n_left])
    assert len(damaged) > 0
    loaded(source)
    assert loaded(source) == (2, 0)


def test_a_function_that_cannot_be_compiled(source):
    with pytest.raises(numba.TypingError):
        disk_cached(numba.njit(not_to_be_compiled), (source,))(1)


def test_no_folder(source, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FLUXEQ_CACHE", str(tmp_path / "file" / "folder"))
    function = numba.njit(doubled)
    assert disk_cached(function, (source,)) is function


def test_others_wait_for_the_one_who_compiles(source, tmp_path):
    function, found = disk_cached(numba.njit(doubled), (source,)), []
    (lock,) = tmp_path.rglob("lock")
    waiting = threading.Thread(target=lambda: found.append(function(3)))
    with locked(lock):
        waiting.start()
        waiting.join(1)
        assert not found
    waiting.join()
    assert found == [6]


def test_moves_that_were_loaded_are_those_that_were_compiled():
    """All functions called from Python, on two lattices."""
    started = {shape: chains.empty_chains(shape, 3, seed=1) for shape in ((4, 2), (5,))}

    def made():
        backends.cpu.cache_clear()
        return [chains.record(Theory(4.01, 1, 1.5), start, 5, 3) for start in started.values()]

    first, second = made(), made()
    assert set(vars(backends.cpu())) == set(backends.ENTRY_POINTS)  # others cannot be called from Python
    assert backends.cpu().record.function.stats.cache_hits.total() == 2
    for (state, configurations), (state_2, configurations_2) in zip(first, second, strict=True):
        np.testing.assert_array_equal(configurations, configurations_2)
        for one, other in zip(state, state_2, strict=True):
            np.testing.assert_array_equal(one, other)
