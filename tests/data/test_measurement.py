"""Measured means as people and programs read them, also of ensembles in which nothing fluctuates."""

import json

import pytest

import small_ensembles
from fluxeq.data.checkpoints import sample_to_file
from fluxeq.data.ensembles import read_series, save_ensemble
from fluxeq.data.generation import Settings
from fluxeq.data.measurement import as_json, as_text, measured
from fluxeq.errors import InputError
from fluxeq.theory import Theory, weight_ratio

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors


def of_file(path):
    return measured(path, read_series(path))


def test_an_ensemble_in_which_nothing_fluctuates(tmp_path):
    """n = 0 is a result: said in words to people, and as a status to programs."""
    vacuum = Theory(1000, 1, 0)
    sample_to_file(tmp_path / "e.h5", Settings(vacuum, (4, 4), 40, 4, 1))
    found = of_file(tmp_path / "e.h5")
    assert as_text(found).startswith("n        0, constant: the same in all 40 configurations; if anything fluctuates")
    values = json.loads(json.dumps(as_json(found), allow_nan=False))
    assert values["n"] == {
        "value": 0,
        "error": None,
        "tau_int": None,
        "r_hat": None,
        "status": "constant",
        "missing": None,
    }
    assert values["phi2"]["value"] == pytest.approx(weight_ratio(vacuum, 0)[0])
    assert values["phi2"]["status"] == "constant"


def test_too_few_to_tell(tmp_path):
    save_ensemble(tmp_path / "e.h5", small_ensembles.closed(1, 20))
    assert "error unknown: fewer than 8 configurations a chain" in as_text(of_file(tmp_path / "e.h5"))


def test_nothing_to_measure(tmp_path):
    """What a killed run leaves behind holds no configurations yet."""

    class Killed(BaseException):
        pass

    def kill(done, total, remark):
        if not remark:
            raise Killed

    with pytest.raises(Killed):
        sample_to_file(tmp_path / "e.h5", Settings(Theory(4.01, 1, 1.5), (4, 2), 8, 4, 1), progress=kill)
    [part] = (tmp_path / "e.h5.parts").glob("*.h5")
    with pytest.raises(InputError, match=r"tuned\.h5: holds no configurations"):
        of_file(part)
