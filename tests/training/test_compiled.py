"""Fast compilation, and the cache: it is used, does not change results, stays within its size, and is optional."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import small_ensembles
from fluxeq.nets.architecture import configured
from fluxeq.training import compiled
from fluxeq.training.fit import Trainer
from fluxeq.training.recipe import Recipe

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors

CODE = f"""
import sys
sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[1])]}
import jax.monitoring
from fluxeq.training import compiled
compiled.SECONDS = 0.0
compiled.keep_compiled()
hits = []
jax.monitoring.register_event_listener(lambda event, **_: hits.append(event) if event.endswith("cache_hits") else None)
import test_compiled
print(test_compiled.trained(), len(hits))
"""


def trained():
    """A hash of the weights after a short training."""
    config = configured("EQ", {"blocks": [{"channels": 3, "kernel": 2}]}, small_ensembles.SHAPE)
    network, _ = Trainer(small_ensembles.data("regression"), config, Recipe(epochs=3, batch_size=8)).fit(1)
    return hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(network))).hexdigest()


def test_the_weights_are_the_same_with_and_without_it(tmp_path):
    """Without it here; then in processes that find it empty, and filled."""
    found = []
    for _ in range(2):
        environment = {**os.environ, "FLUXEQ_CACHE": str(tmp_path)}
        done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True)
        found.append(done.stdout.split())
    (first, hits), (second, more_hits) = found
    assert first == second == trained()
    assert int(more_hits) > int(hits) + 5
    assert "warn" not in done.stderr.lower()


def test_the_stopwatch_counts_what_is_compiled_within_it():
    """A function compiled before, within, and after; the second call compiles nothing."""

    def function(x):
        return jax.numpy.sin(x) @ x

    jax.jit(function)(np.eye(2))
    with compiled.stopwatch() as nothing:
        pass
    with compiled.stopwatch() as once:
        jax.jit(function)(np.eye(3))
    with compiled.stopwatch() as again:
        jax.jit(function)(np.eye(3))
    jax.jit(function)(np.eye(4))
    assert set(once) == {"compiling", "tracing", "lowering"}
    assert all(seconds > 0 for seconds in once.values())
    assert not any([*nothing.values(), *again.values()])


def test_it_keeps_to_its_size(tmp_path):
    for i in range(10):
        path = tmp_path / str(i)
        path.write_bytes(bytes(10))
        os.utime(path, ns=(i, i))
    compiled.trim(tmp_path, 100)
    assert len(list(tmp_path.iterdir())) == 10
    compiled.trim(tmp_path, 99)  # the oldest are removed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["6", "7", "8", "9"]


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FLUXEQ_CACHE", str(tmp_path / "file" / "folder"))
    before = jax.config.jax_compilation_cache_dir
    compiled.keep_compiled()
    assert jax.config.jax_compilation_cache_dir == before


def test_functions_that_run_a_few_times_are_compiled_fast():
    """With the options that this version of XLA knows, and the results of ``jax.jit``; unknown ones are left out."""
    asked = []

    def jit(function, compiler_options):
        asked.append(compiler_options)
        return jax.jit(function, compiler_options=compiler_options)

    def function(x):
        """Twice the sine."""
        return 2 * jax.numpy.sin(x)

    fast = compiled.compiled_fast(function, jit)
    assert not asked
    np.testing.assert_allclose([fast(0.5), fast(1.0)], [function(0.5), function(1.0)], rtol=1e-6)
    assert asked == [compiled.FAST_TO_COMPILE]
    assert fast.__doc__ == "Twice the sine."
    assert compiled.known(xla_no_such_option=True, **compiled.FAST_TO_COMPILE) == {}
