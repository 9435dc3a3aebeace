"""Summary of the sampling of a run, from its ensembles."""

import pandas as pd

import small_ensembles
from fluxeq.analysis.sampling import sampling
from fluxeq.report.figures.sampling import FIGURE


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


def test_a_run_that_has_lost_its_ensembles(tmp_path):
    """The figure is drawn, and says so; its stored table can still be read."""
    numbers = sampling(tmp_path)
    assert numbers.empty
    assert FIGURE.alt_text(numbers) == "No ensembles are left."
    assert FIGURE.draw(numbers).axes
    (tmp_path / "figures").mkdir()
    drawn = pd.DataFrame({"ensemble": ["a"], "shape": ["4x4"], "n": [0.5]})
    drawn.to_csv(tmp_path / "figures" / "sampling.csv", index=False)
    pd.testing.assert_frame_equal(sampling(tmp_path), drawn)
