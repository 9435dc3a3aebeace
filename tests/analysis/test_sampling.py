"""The sampling of a run, read from its ensembles."""

import pytest

import small_ensembles
from fluxeq.analysis.sampling import sampling
from fluxeq.errors import InputError


def test_every_closed_ensemble_has_a_row(tmp_path):
    made = {
        "b": small_ensembles.closed(1, 80),
        "a": small_ensembles.closed(1, 80, (4, 2)),
        "open": small_ensembles.opened(1),
    }
    (tmp_path / "ensembles").mkdir()
    small_ensembles.save(tmp_path / "ensembles", made)
    found = sampling(tmp_path)
    assert found["ensemble"].tolist() == ["a", "b"]
    row, ensemble = found.iloc[1], made["b"]
    estimate = ensemble.measure("n")["n"]
    assert (row["n"], row["error"], row["tau_int"], row["r_hat"]) == (
        estimate.value,
        estimate.error,
        estimate.tau_int,
        estimate.r_hat,
    )
    assert (row["shape"], row["mu"], row["configurations"], row["chains"]) == ("4x4", 1.5, 80, 4)
    assert row["spacing"] == ensemble.tuning.spacing
    assert row["add"] == ensemble.state.acceptance["add"]


def test_a_run_without_ensembles_is_told(tmp_path):
    with pytest.raises(
        InputError, match="ensembles: no ensembles of closed configurations; run 'fluxeq reproduce' first"
    ):
        sampling(tmp_path)
