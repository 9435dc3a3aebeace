"""The table of scores, for networks and functions."""

import numpy as np
import pandas as pd
import pytest

import small_ensembles
from fluxeq.analysis.metrics import score_table
from fluxeq.analysis.tables import METRICS, Results
from fluxeq.errors import InputError
from fluxeq.training.datasets import dataset
from fluxeq.training.evaluation import evaluate
from fluxeq.training.models import load_model
from untrained import LINEAR, saved

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors

WORMS = """
couplings = { eta = 4.01, lam = 1.0, mu = 1.5 }
shape = [4, 4]
n_training = [40]
n_worms = [0, 1]
instances = 2
recipe = {}
search = { trials = 1, n_training = 10, recipe = {} }
test = { shapes = [[4, 4]], configurations = 10, n_worms = [0, 1] }
"""
STUDY = f"""
name = "small"
seed = 1
[tasks.mine]
task = "regression"
{WORMS.replace("n_worms = [0, 1]", "", 1).replace(", n_worms = [0, 1]", "")}
families.FL = {{}}
families.theirs.function = "a:b"
families."EQ, small" = {{ architecture = "EQ", networks = [{{ config = {{}} }}] }}
[tasks.detection]
{WORMS}
families.Linear = {{ architecture = "EQ" }}
"""


@pytest.fixture
def run(tmp_path):
    (tmp_path / "study.toml").write_text(STUDY)
    made = {"closed": small_ensembles.closed(3), "wide": small_ensembles.closed(3, shape=(6, 4))}
    small_ensembles.save(tmp_path, made | {"opened": small_ensembles.opened(3)})
    return tmp_path


CLOSED = [("closed.h5", None), ("wide.h5", None)]


def test_a_row_for_each_model_test_set_and_target(run):
    models = [saved(run, "regression", "EQ", i) for i in range(2)]
    table = score_table(run, "mine", "EQ, small", models, None, CLOSED)
    at = list(METRICS).index("shape") + 1
    assert list(table) == [*list(METRICS)[:at], "eta", "lam", "mu", *list(METRICS)[at:]]
    keys = ["model", "shape", "target"]
    expected = [(path.name, shape, target) for shape in ("4x4", "6x4") for path in models for target in ("n", "phi2")]
    assert list(table[keys].itertuples(index=False, name=None)) == expected
    assert set(table["protocol"]) == {"same layers"}
    assert (table["task"] == "mine").all()
    assert (table["family"] == "EQ, small").all()
    ensemble = small_ensembles.closed(3)
    found = evaluate(load_model(models[0]), dataset("regression", ensemble))
    first = table[(table["model"] == models[0].name) & (table["shape"] == "4x4")].set_index("target")
    assert first["loss"].mean() == pytest.approx(found.loss)
    assert dict(first["loss"]) == found.per_target
    assert dict(first["truth"]) == {"n": ensemble.n.mean(), "phi2": ensemble.phi2.mean()}
    assert (first["truth_error"] > 0).all()
    assert dict(first["mean"]) == found.mean_prediction
    assert dict(first["bias"]) == found.bias
    assert dict(first["bias_error"]) == found.bias_error


def test_what_is_written_is_what_figures_read(run):
    table = score_table(run, "mine", "FL", [saved(run, "regression", "FL")], None, CLOSED)
    assert table["shape"].unique().tolist() == ["4x4"]  # the only lattice it accepts
    table.to_csv(run / "metrics.csv", index=False)
    read = Results(run).metrics
    assert list(read) == [*METRICS, "eta", "lam", "mu"]
    assert read["mu"].dtype == "float64"
    pd.testing.assert_series_equal(read["loss"], table["loss"])
    assert read["accuracy"].isna().all()


def test_a_task_on_worms_is_scored_number_by_number(run):
    table = score_table(run, "detection", "Linear", [saved(run, "detection", LINEAR)], None, [("opened.h5", 20)])
    assert list(table["n_worms"]) == [0, 1]
    assert list(table["truth"]) == [0, 1]
    assert table["truth_error"].isna().all()
    assert table["configurations"].sum() == 20
    assert table["accuracy"].between(0, 1).all()
    assert (table["target"] == "open").all()


def predicted(configurations):
    return np.stack([configurations[:, 0].mean(axis=(1, 2)), np.ones(len(configurations))], axis=1)


def on_squares_only(configurations):
    if configurations.shape[2] != configurations.shape[3]:
        raise InputError("a square is needed")
    return predicted(configurations)


def one_number(configurations):
    return np.zeros(len(configurations))


@pytest.mark.parametrize(("name", "shapes"), [("predicted", ["4x4", "6x4"]), ("on_squares_only", ["4x4"])])
def test_a_function_stands_beside_networks(run, name, shapes):
    """n, the mean of k_t, is predicted without error; lattices that the function rejects are left out."""
    table = score_table(run, "mine", "theirs", [], f"{__name__}:{name}", CLOSED)
    assert table["shape"].unique().tolist() == shapes
    of_n = table[table["target"] == "n"]
    assert (of_n["loss"] < 1e-12).all()
    assert (table["n_training"] == 40).all()  # that of the networks it is compared with
    table.to_csv(run / "metrics.csv", index=False)
    read = Results(run).largest("mine")
    assert read["architecture"].unique().tolist() == [""]
    assert read["n_parameters"].isna().all()


def test_a_function_that_returns_something_else_is_refused(run):
    with pytest.raises(
        InputError, match=rf"^function '{__name__}:one_number': returns an array \(40,\), not \(40, 2\)$"
    ):
        score_table(run, "mine", "theirs", [], f"{__name__}:one_number", CLOSED)
