"""Commands depend on their arguments, not on variables of notebooks, containers and batch systems."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import small_ensembles
from fluxeq.data.ensembles import open_ensemble, save_ensemble

SAMPLE = shlex.split("sample --shape 4x2 --eta 4.01 --lam 1 --mu 1.5 --configurations 8 --output e.h5")
MODEL = Path(__file__).parents[2] / "models" / "regression-EQ.safetensors"
PREDICT = ["predict", str(MODEL), "--data", "c.h5", "--output", "p.csv"]
PLOT = ["measure", "c.h5", "--plot", "c.png"]


def run(words, folder, **environment):
    """Run a command in the folder with these variables; None removes one."""
    variables = {name: value for name, value in {**os.environ, **environment}.items() if value is not None}
    command = [sys.executable, "-m", "fluxeq", *words]
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An ensemble, with the results of the commands in an ordinary environment."""
    found = tmp_path_factory.mktemp("environment")
    save_ensemble(found / "c.h5", small_ensembles.closed(1))
    for words in (SAMPLE, PREDICT):
        assert run(words, found).returncode == 0
    (found / "e.h5").rename(found / "expected.h5")
    (found / "p.csv").rename(found / "expected.csv")
    return found


@pytest.mark.parametrize(
    "variables",
    [
        {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "TERM": "dumb", "COLUMNS": "1"},
        {"MPLBACKEND": "nonsense", "JAX_PLATFORMS": "cuda", "PYTHONWARNINGS": "error", "SOURCE_DATE_EPOCH": "x"},
        {"JAX_PLATFORMS": "nonsense", "JAX_ENABLE_X64": "1", "LC_ALL": "C", "PYTHONUTF8": "0", "TERM": None},
        {"NUMBA_DISABLE_JIT": "1", "JAX_DISABLE_JIT": "0", "HOME": "/dev/null", "XDG_CACHE_HOME": None},
        {"FLUXEQ_CACHE": "/dev/null", "MPLCONFIGDIR": "/dev/null", "PYTHONIOENCODING": "ascii", "PYTHONOPTIMIZE": "2"},
    ],
    ids=lambda variables: ",".join(variables),
)
def test_variables_change_nothing(folder, variables):
    for words in (SAMPLE, PREDICT, PLOT):
        done = run(words, folder, **variables)
        assert done.returncode == 0, done.stderr
        assert all(
            line.startswith(("sampling: ", "predicting: ", "measuring: ")) for line in done.stderr.splitlines()
        ), done.stderr
    assert (open_ensemble(folder / "e.h5").configurations == open_ensemble(folder / "expected.h5").configurations).all()
    found, expected = (np.loadtxt(folder / name, delimiter=",", skiprows=1) for name in ("p.csv", "expected.csv"))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    (folder / "e.h5").unlink()


def test_help_on_a_terminal_of_one_column(folder):
    """Laid out for a wider terminal: tables in one column would take minutes."""
    shown = run(["sample", "--help"], folder, COLUMNS="1")
    assert shown.returncode == 0
    assert max(map(len, shown.stdout.splitlines())) > 20
