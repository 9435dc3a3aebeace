"""The choices of two validation sets, from the results of searches."""

import json

import numpy as np
import pandas as pd
import pytest

import synthetic_run
from fluxeq.analysis.selection import gains, settings
from fluxeq.errors import InputError
from fluxeq.study.study import load_study


def trial(number, validation, elsewhere, test, dense=(), pruned=False):
    """A setting as stored, with one repeat per loss."""
    losses = {"losses": validation, "observed": {"elsewhere": elsewhere, "test": test}}
    known = [loss for loss in validation if loss is not None]
    value = float(np.mean(known)) if len(known) == len(validation) else None
    named = {"number": number, "value": value, "pruned": pruned, "n_parameters": 7, "choices": {}}
    return {"config": {"dense": list(dense)}, **named, **losses}


FIRST = [
    trial(2, [1e-8, 3e-8], [1e-3, 1e-3], [4e-3, 2e-3], [16]),
    trial(0, [2e-8, 4e-8], [2e-7, 2e-7], [1e-6, 3e-6]),
    trial(4, [2e-8, None], [3e-7, None], [1e-6, None]),
    trial(7, [1e-7], [1e-7], [1e-7], pruned=True),
]
"""Best first; numbers of trials may have gaps."""
SECOND = [trial(0, [1e-8, 1e-8], [1e-8, 1e-8], [5e-6, 5e-6]), trial(1, [5e-8, 5e-8], [1e-5, 1e-5], [1e-4, 1e-4], [8])]


@pytest.fixture
def study(tmp_path):
    (tmp_path / "study.toml").write_text(synthetic_run.study(synthetic_run.Scale()))
    return load_study(tmp_path / "study.toml")


@pytest.fixture
def folders(tmp_path):
    """Two searches of one architecture, one of another, and one without a second validation set."""
    found = {"regression-ST": FIRST, "regression-EQ": FIRST, "regression-EQ-2": SECOND, "detection-EQ": SECOND}
    for name, trials in found.items():
        synthetic_run.write_search(tmp_path / name, *name.split("-")[:2], trials)
    return [tmp_path / name for name in sorted(found)]


def test_the_table_of_settings(folders, study):
    table = settings(folders, study.tasks)
    assert table["search"].unique().tolist() == ["regression-EQ", "regression-EQ-2", "regression-ST"]
    assert set(table["trained_at"]) == {"mu = 1.05"}
    assert set(table["elsewhere_at"]) == {"mu = 0.97"}
    first = table[table["search"] == "regression-EQ"].set_index("number")
    assert list(first.index) == [1, 2, 3, 4]
    assert first["validation"].tolist() == pytest.approx([3e-8, 2e-8, np.inf, 1e-7])
    assert first["elsewhere"].tolist() == pytest.approx([2e-7, 1e-3, np.inf, 1e-7])
    assert first["test"].tolist() == pytest.approx([2e-6, 3e-3, np.inf, 1e-7])
    assert first["dense"].tolist() == [False, True, False, False]
    assert first["pruned"].tolist() == [False, False, False, True]
    assert first["chosen"].tolist() == [False, True, False, False]
    assert first["chosen_elsewhere"].tolist() == [False, False, False, True]  # by its only repeat


def test_what_another_validation_set_is_worth(folders, study):
    """Ratios of 3e-3 to 1e-7, and of one setting to itself."""
    found = gains(settings(folders, study.tasks)).set_index("architecture")
    assert list(found.index) == ["EQ", "ST"]
    eq = found.loc["EQ"]
    assert eq["searches"] == 2
    assert [eq["lowest"], eq["median"], eq["highest"]] == pytest.approx([1, (1 + 3e4) / 2, 3e4])
    assert [eq["chosen"], eq["chosen_elsewhere"]] == pytest.approx([(3e-3 + 5e-6) / 2, (1e-7 + 5e-6) / 2])
    assert found.loc["ST", "lowest"] == found.loc["ST", "highest"] == pytest.approx(3e4)


def test_it_can_be_worth_less_than_nothing():
    """The validation set at the training couplings chose the setting that is better over all couplings."""
    common = {"task": "a", "architecture": "EQ", "search": "s"}
    rows = [{"chosen": True, "chosen_elsewhere": False, "test": 1.0}, {"chosen": False, "chosen_elsewhere": True}]
    rows[1]["test"] = 4.0
    assert gains(pd.DataFrame([common | row for row in rows]))["median"].tolist() == [0.25]


def test_several_points_of_training_are_named(folders, study):
    """As well as couplings of the section that differ elsewhere."""
    section = study.tasks["regression"]
    search = section.search.model_copy(update={"elsewhere": {"mu": 0.97, "lam": 0.5}})
    section = section.model_copy(update={"training": ({"mu": 1.05}, {"mu": 0.91}), "search": search})
    table = settings(folders, {"regression": section})
    assert set(table["trained_at"]) == {"mu = 1.05 and 0.91, lam = 1"}
    assert set(table["elsewhere_at"]) == {"mu = 0.97, lam = 0.5"}


def test_searches_that_did_not_look_elsewhere_are_no_table(folders, study):
    with pytest.raises(
        InputError, match="searches: none with a second validation set is done; run 'fluxeq reproduce' first"
    ):
        settings([folders[0]], study.tasks)


@pytest.mark.parametrize("content", [[], {}, 3, [{"number": 0}], [{**FIRST[0], "observed": {"test": [1.0]}}]])
def test_what_is_no_such_search_is_named(folders, study, content):
    (folders[1] / "trials.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"regression-EQ: not the results of a search .*; run 'fluxeq reproduce'"):
        settings(folders, study.tasks)
