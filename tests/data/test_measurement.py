"""Measured means in text and JSON, including ensembles without fluctuations."""

import csv
import json
from dataclasses import replace

import pytest

import small_ensembles
from fluxeq.data.checkpoints import sample_to_file
from fluxeq.data.ensembles import save_ensemble
from fluxeq.data.generation import Settings
from fluxeq.data.measurement import as_csv, as_json, as_table, as_text, measured
from fluxeq.errors import InputError
from fluxeq.theory import Theory, weight_ratio

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors


def of_file(path):
    [found] = measured([path], ["n", "phi2"])
    return found


def test_an_ensemble_in_which_nothing_fluctuates(tmp_path):
    """n = 0 is a valid result: described in words in the text, and by a status in JSON."""
    vacuum = Theory(1000, 1, 0)
    sample_to_file(tmp_path / "e.h5", Settings(vacuum, (4, 4), 40, 4, 1))
    found = of_file(tmp_path / "e.h5")
    assert as_text(found).startswith("n        0, constant: the same in all 40 configurations; fluctuations, if any,")
    values = json.loads(json.dumps(as_json(found), allow_nan=False))
    assert values["n"] == {
        "value": 0,
        "error": None,
        "tau_int": None,
        "tau_int_error": None,
        "r_hat": None,
        "status": "constant",
        "missing": None,
    }
    assert values["phi2"]["value"] == pytest.approx(weight_ratio(vacuum, 0)[0])
    assert values["phi2"]["status"] == "constant"


def test_too_few_to_tell(tmp_path):
    save_ensemble(tmp_path / "e.h5", small_ensembles.closed(1, 20))
    assert "error unknown: fewer than 8 configurations per chain" in as_text(of_file(tmp_path / "e.h5"))


def test_nothing_to_measure(tmp_path):
    """A killed run leaves a part without configurations."""

    class Killed(BaseException):
        pass

    def kill(done, total, remark):
        if not remark:
            raise Killed

    with pytest.raises(Killed):
        sample_to_file(tmp_path / "e.h5", Settings(Theory(4.01, 1, 1.5), (4, 2), 8, 4, 1), progress=kill)
    [part] = (tmp_path / "e.h5.parts").glob("*.h5")
    with pytest.raises(InputError, match=r"tuned\.h5: has no configurations"):
        of_file(part)


def test_chains_of_several_files(tmp_path):
    """Those of the same theory and lattice are combined; others, and open worms, are separate."""
    paths = [tmp_path / name for name in ("a.h5", "b.h5", "w.h5", "c.h5")]
    a, b = small_ensembles.closed(1), small_ensembles.closed(2)
    for path, ensemble in zip(paths, (a, b, small_ensembles.opened(1)), strict=False):
        save_ensemble(path, ensemble)
    sample_to_file(paths[3], Settings(Theory(4.01, 1, 1.25), a.shape, 40, 4, 1))
    other, joined, opened = measured(paths, ["n", "phi2", "n"])
    assert (list(joined.files), list(opened.files), list(other.files)) == (paths[:2], paths[2:3], paths[3:])
    assert joined.estimates["n"].value == pytest.approx((a.n.mean() + b.n.mean()) / 2)
    assert (joined.n_configurations, joined.n_chains, joined.state.worms.shape) == (80, 8, (8,))
    assert opened.state is None
    save_ensemble(tmp_path / "d.h5", replace(small_ensembles.closed(3), state=None))  # like an imported one
    [mixed] = measured([paths[0], tmp_path / "d.h5"], ["n"])
    assert (mixed.n_chains, mixed.state) == (8, None)

    rows = list(csv.DictReader(as_csv([other, joined]).splitlines()))
    assert [(row["mu"], row["seeds"], row["shape"]) for row in rows] == [("1.25", "1", "4x4"), ("1.5", "1 2", "4x4")]
    assert float(rows[1]["n_error"]) == pytest.approx(joined.estimates["n"].error)
    assert float(rows[1]["phi2_tau_int_error"]) > 0
    assert as_json(joined)["seeds"] == [1, 2]
    table = as_table([other, joined]).splitlines()
    assert table[0].split() == ["eta", "lam", "mu", "lattice", "configurations", "n", "|phi|^2", "tau_int", "R-hat"]
    assert table[2].split()[2:5] == ["1.5", "4x4", "80"]


def test_the_same_chains_twice(tmp_path):
    """Under another name, or part of them."""
    save_ensemble(tmp_path / "a.h5", small_ensembles.closed(1))
    save_ensemble(tmp_path / "b.h5", small_ensembles.closed(1, 20))
    with pytest.raises(InputError, match=r"b\.h5: has the same chains as .*a\.h5; leave one of them out"):
        measured([tmp_path / "a.h5", tmp_path / "b.h5"], ["n"])
