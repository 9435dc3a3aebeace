"""Reference means, independent of the test sets."""

import pytest

import small_ensembles
from fluxeq import exact
from fluxeq.analysis.reference import has_exact_means, references
from fluxeq.theory import Theory

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors


@pytest.mark.parametrize(
    ("lam", "shape", "known"),
    [(1, (50, 2), True), (1, (60, 4), False), (0, (60, 4), True), (1, (4, 2, 2), False), (1, (2, 50), False)],
)
def test_what_is_known_exactly(lam, shape, known):
    assert has_exact_means("regression", Theory(4.01 if lam else 6.5, lam, 1.0), shape) == known


def test_observables_without_an_oracle_are_sampled():
    assert not has_exact_means("detection", Theory(4.01, 1, 1.0), (50, 2))


def test_a_row_for_each_point_and_target(tmp_path):
    ensemble = small_ensembles.closed(3)
    files = small_ensembles.save(tmp_path, {"closed": ensemble})
    theory = Theory(4.01, 1, 1.0)
    table = references("regression", [files["closed"]], [(theory, (6, 2))]).set_index(["shape", "target"])
    assert list(table.index) == [("4x4", "n"), ("4x4", "phi2"), ("6x2", "n"), ("6x2", "phi2")]
    assert table.loc[("4x4", "phi2"), "value"] == ensemble.phi2.mean()
    assert (table.loc["4x4", "error"] > 0).all()
    assert set(table.loc["4x4", "source"]) == {f"{len(ensemble)} configurations"}
    assert table.loc[("6x2", "n"), "value"] == exact.solve(theory, (6, 2)).n
    assert set(table.loc["6x2", "error"]) == {0.0}
    assert set(table["mu"]) == {ensemble.theory.couplings["mu"], 1.0}
