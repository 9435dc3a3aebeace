"""Chains on a GPU against the plain moves, bit for bit. ``test_gpu.py`` runs this file in Numba's simulator.

On a machine with a GPU, ``python -m pytest tests/sampling/gpu_cases.py`` runs it there.
"""

from functools import partial

import numpy as np
import pytest

import fluxeq
import small_ensembles
from fluxeq.data import generation
from fluxeq.data.checkpoints import sample_to_file
from fluxeq.data.ensembles import open_ensemble
from fluxeq.data.generation import Settings
from fluxeq.errors import FluxOverflowError, InputError, StabilityError
from fluxeq.sampling import backends, chains, gpu, kernels, moves, random_numbers, tables
from fluxeq.sampling.tuning import Tuning
from fluxeq.theory import Theory, weight_ratio

pytestmark = [
    pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning"),  # imported by pyerrors
    pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning"),  # of random numbers, in the simulator
]

DENSE, SHAPE = Theory(4.01, 1, 1.5), (4, 2)
LAYOUTS = {  # values for constants of ``kernels``
    "in shared memory": {},
    "in blocks of five": {"WARP": 5, "FEWEST_SHARED": 1},
    "in global memory": {"FEWEST_SHARED": 2**20},
}


@pytest.fixture(autouse=True)
def _fresh_kernels():
    """Kernels are cached between launches, but not between tests, which may compile other moves."""
    for made in (backends.gpu, kernels.thread, kernels.kernel, kernels.unpack):
        made.cache_clear()


plain_record = partial(chains.record, moves=backends.reference())


def assert_equal(first, second):
    """Two results of ``record`` agree in every bit: state and configurations."""
    for one, other in zip([*first[0], first[1]], [*second[0], second[1]], strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("n_chains", [3, 33])
def test_layouts(monkeypatch, name, n_chains):
    """Full and partial blocks; the intended memory is used."""
    for constant, value in LAYOUTS[name].items():
        monkeypatch.setattr(kernels, constant, value)
    found = kernels.layout(SHAPE)
    assert found.is_shared == (name in ("in shared memory", "in blocks of five"))
    assert found.n_threads == (5 if name == "in blocks of five" else 32)
    started = chains.empty_chains(SHAPE, n_chains, seed=4)
    plain = plain_record(DENSE, started, 2, 1)
    assert_equal(gpu.record(DENSE, started, 2, 1), plain)
    assert plain[0].tally[:, moves.ADD, 1].any()


@pytest.mark.parametrize(
    ("theory", "shape"), [(Theory(3.0, 0, 0.7), (5,)), (Theory(7.0, 0, 0.85), (3, 2, 3)), (Theory(9, 1, 1.3), (2,) * 4)]
)
def test_dimensions(theory, shape):
    started = chains.empty_chains(shape, 3, seed=2)
    assert_equal(gpu.record(theory, started, 2, 5), plain_record(theory, started, 2, 5))


def test_a_wrong_move_is_found_out(monkeypatch):
    """The control: a slightly higher acceptance of entries on the GPU gives different chains."""
    started = chains.empty_chains(SHAPE, 3, seed=3)
    plain = plain_record(DENSE, started, 3, 3)

    def uniform(rng, c):
        return np.int64(random_bits(rng, c) >> np.uint64(11)) * 2.0**-53 * 0.9  # noqa: F821  (that of the moves)

    monkeypatch.setattr(random_numbers, "uniform", uniform)
    assert (gpu.record(DENSE, started, 3, 3)[1] != plain[1]).any()


def test_buffers(monkeypatch):
    """Configurations that exceed one buffer: two turns at a time, and one remaining turn."""
    started = chains.empty_chains(SHAPE, 3, seed=1)
    once = gpu.record(DENSE, started, 5, 1)
    monkeypatch.setattr(gpu, "BUFFER_BYTES", 2 * 3 * 8 * 8)
    assert_equal(gpu.record(DENSE, started, 5, 1), once)
    assert_equal(once, plain_record(DENSE, started, 5, 1))


def test_half_a_run_and_half_a_run_are_one_run():
    """The second half runs on the CPU."""
    started = chains.empty_chains(SHAPE, 3, seed=1)
    middle, first = gpu.record(DENSE, started, 3, 2)
    end, second = plain_record(DENSE, middle, 2, 2)
    assert_equal((end, np.concatenate([first, second], axis=1)), gpu.record(DENSE, started, 5, 2))
    assert not started.hops.any()  # the start is not modified by the run
    for one, other in zip(gpu.record(DENSE, middle, 0, 2)[0], middle, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


def test_tables_grow(monkeypatch):
    """A table that is always too short gives the same result as a long one."""
    theory, started, asked = Theory(4.01, 1, 2.0), chains.empty_chains((3, 2), 3, seed=1), []

    def shortest(theory, p):
        asked.append(int(p.max()))
        return weight_ratio(theory, 2 * asked[-1] + 2)[::2].copy()

    real = plain_record(theory, started, 2, 3)
    monkeypatch.setattr(tables, "ratios", shortest)
    assert_equal(gpu.record(theory, started, 2, 3), real)
    assert len(asked) > 5


def test_overflow_names_the_link():
    """One of three chains cannot be stored: an error, never an overflow, on the CPU and on the GPU."""
    started = chains.empty_chains((2, 2), 3, seed=1)
    started.hops[1, 0, 0, :, 1] = 128, 130  # a line around the lattice in time; hardly any worm enters
    for record in (gpu.record, plain_record):
        with pytest.raises(
            FluxOverflowError, match=r"^\|k_t\| = 130 on the link from site \(1, 1\) of chain 1: .*int8"
        ):
            record(DENSE, started, 2, 3, entry=1e-9)


def test_what_cannot_be(monkeypatch):
    with pytest.raises(StabilityError):
        gpu.record(Theory(2.0, 0.0, 1.0), chains.empty_chains((2, 2), 1, seed=1), 1, 1)
    context = kernels.cuda.current_context()
    monkeypatch.setattr(type(context), "get_memory_info", lambda self: (2**10, 2**20))
    with pytest.raises(InputError, match=r"chains = 50: they need 0\.0 GiB of GPU memory, .*use fewer chains"):
        gpu.record(DENSE, chains.empty_chains(SHAPE, 50, seed=1), 1, 1)


def test_ensembles(monkeypatch, tmp_path):
    """In memory, and in a file that was killed and resumed on the GPU: the same as on the CPU."""

    def hasty(theory, state, record, report):
        return record(theory, state, 1, 4, entry=1.0)[0], Tuning(spacing=3, thermalisation=4, tau_int=1.5, entry=1.0)

    monkeypatch.setattr(generation, "tune", hasty)
    monkeypatch.setattr(backends, "cpu", backends.reference)
    settings = Settings(DENSE, SHAPE, 11, 4, 1)
    plain = fluxeq.sample(DENSE, SHAPE, 11, chains=4, seed=1)
    made = fluxeq.sample(DENSE, SHAPE, 11, chains=4, seed=1, device="cuda")
    assert small_ensembles.arrays(made) == small_ensembles.arrays(plain)
    monkeypatch.setattr(generation, "PART_BYTES", 1)

    class Killed(BaseException):
        pass

    def kill(done, total, remark):
        if done:
            raise Killed

    with pytest.raises(Killed):
        sample_to_file(tmp_path / "e.h5", settings, device="cuda", progress=kill)
    assert sample_to_file(tmp_path / "e.h5", settings, device="cuda")
    assert small_ensembles.arrays(open_ensemble(tmp_path / "e.h5")) == small_ensembles.arrays(plain)
