import json
import re
import tomllib
from collections.abc import Callable
from importlib.metadata import EntryPoint

import numpy as np
import pandas as pd
import pytest

import synthetic_run
from fluxeq.analysis.claims import CLAIMS, Claim, Verdict, judge, write_claims
from fluxeq.analysis.claims.claim import Judgement, judged
from fluxeq.analysis.tables import Results
from fluxeq.errors import InputError
from fluxeq.study.extension import as_toml

IDS = ["R1", "R2", "R3", "R4", "R5", "R6", "D1", "D2", "D3", "D4", "C1", "C2", "S1"]
Change = Callable[[synthetic_run.Tables], None]


def claim(tables: synthetic_run.Tables, tmp_path, wanted: str) -> Judgement:
    return judged(CLAIMS[wanted], Results(tables.write(tmp_path / "run")))


def rows_where(tables: synthetic_run.Tables, **conditions) -> pd.Series:
    metrics = tables.metrics
    chosen = pd.Series(True, index=metrics.index)
    for column, value in conditions.items():
        chosen &= metrics[column].isin(value if isinstance(value, list) else [value])
    return chosen


def times(column: str, factor: float, **conditions) -> Change:
    def change(tables):
        tables.metrics.loc[rows_where(tables, **conditions), column] *= factor

    return change


def becomes(column: str, value: float, **conditions) -> Change:
    def change(tables):
        tables.metrics.loc[rows_where(tables, **conditions), column] = value

    return change


def dropped(**conditions) -> Change:
    def change(tables):
        tables.metrics = tables.metrics[~rows_where(tables, **conditions)]

    return change


def responses(column: str, value: float, **conditions) -> Change:
    def change(tables):
        table = tables.measurements["responses"]
        chosen = pd.Series(True, index=table.index)
        for name, wanted in conditions.items():
            chosen &= table[name] == wanted
        table.loc[chosen, column] = value

    return change


def without_responses(tables):
    del tables.measurements["responses"]


def predicts_no_particles(tables):
    """Within the errors, but without an onset: the errors of n are made larger than n."""
    chosen = rows_where(tables, task="regression", architecture="EQ", shape="200x10", target="n")
    tables.metrics.loc[chosen, "truth_error"] = 1.0
    tables.metrics.loc[chosen, "mean"] = 0.0


def test_all_claims_hold_where_the_paper_is_right(tables, tmp_path):
    claims = judge(tables.write(tmp_path / "run"))
    assert [claim.id for claim in claims] == IDS
    assert {claim.id for claim in claims if claim.holds is not True} == set()


REGRESSION = {"task": "regression"}
EQ, ST, FL = ({"architecture": name, "augmentation": False} for name in ("EQ", "ST", "FL"))
LARGEST = {"n_training": 4000}

VIOLATIONS = [
    ("R1", times("loss", 1e-3, **REGRESSION, **ST, **LARGEST)),
    ("R1", times("loss", 1e-4, **REGRESSION, **FL, **LARGEST)),
    ("R1", times("loss", np.nan, **REGRESSION, **EQ, **LARGEST)),
    ("R2", times("loss", 100, **REGRESSION, **EQ, **LARGEST)),
    ("R2", times("loss", 0.1, **REGRESSION, **ST, **LARGEST)),
    ("R2", times("loss", 0.1, **REGRESSION, **FL, **LARGEST)),
    ("R3", times("loss", 1e-4, **REGRESSION, architecture="ST", augmentation=True)),
    ("R3", times("loss", 1e-4, **REGRESSION, architecture="FL", augmentation=True)),
    ("R4", times("mean", 1.5, **REGRESSION, **EQ, target="n", shape="50x2", mu=0.97)),
    ("R4", times("mean", 1.5, **REGRESSION, **EQ, target="phi2", shape="50x2", mu=0.97)),
    ("R4", becomes("mean", 0.02, **REGRESSION, **EQ, target="n", shape="50x2", mu=0.91)),
    ("R4", becomes("mean", np.nan, **REGRESSION, **EQ, target="n", shape="50x2", mu=0.97)),
    ("R4", predicts_no_particles),
    ("R5", times("loss", 1e-3, **REGRESSION, **ST, **LARGEST, shape="200x10")),
    ("R6", times("loss", 1e-4, task="zhou")),
    ("R6", times("loss", 1e6, **REGRESSION, **EQ, shape="200x10", mu=[0.91, 1.05])),
    ("D1", becomes("accuracy", 1.0, task="detection", **FL, mu=1.25)),
    ("D1", times("accuracy", 0.9, task="detection", **ST, mu=1.25)),
    ("D2", times("accuracy", 0.9, task="detection", **EQ, mu=1.25)),
    ("D3", becomes("accuracy", 1.0, task="detection", **EQ)),
    ("D3", becomes("accuracy", 1.0, task="detection", **ST, shape="64x64")),
    ("D4", responses("selectivity", 0.2, architecture="EQ")),
    ("D4", responses("selectivity", np.nan, architecture="ST")),
    ("C1", becomes("accuracy", 0.9, task="counting", **EQ, n_worms=10)),
    ("C1", becomes("accuracy", 0.9, task="counting", **FL, n_worms=[1, 2, 3])),
    ("C2", becomes("accuracy", 0.999, task="counting", **EQ, instance=1, shape="32x32", n_worms=3)),
    ("S1", becomes("n_parameters", 50, task="counting", **ST)),
    ("S1", becomes("n_parameters", 200_000, **REGRESSION, **FL, **LARGEST)),
    ("S1", becomes("n_parameters", 200_000, **REGRESSION, **FL, **LARGEST, instance=2)),  # the winner of another search
]


@pytest.mark.parametrize(("wanted", "violate"), VIOLATIONS, ids=[f"{i}-{v[0]}" for i, v in enumerate(VIOLATIONS)])
def test_a_claim_fails_where_the_paper_is_wrong(tables, tmp_path, wanted, violate):
    violate(tables)
    assert claim(tables, tmp_path, wanted).holds is False


ABSENCES = [
    ("R1", dropped(**REGRESSION, **FL)),
    ("R2", dropped(**REGRESSION, n_training=[100, 500, 1000])),
    ("R3", dropped(augmentation=True)),
    ("R4", becomes("truth", np.nan, **REGRESSION, target="n")),
    ("R4", dropped(**REGRESSION, mu=[0.91, 0.93, 0.95, 0.97, 0.99, 1.01, 1.03])),
    ("R5", dropped(**REGRESSION, **ST, **LARGEST)),
    ("R6", dropped(task="zhou")),
    ("R6", dropped(**REGRESSION, mu=[0.91, 1.05])),
    ("D1", dropped(task="detection", **ST)),
    ("D2", dropped(task="detection", mu=[1.0, 1.25])),
    ("D3", dropped(task="detection", shape=["16x16", "32x32", "64x64"])),
    ("D4", without_responses),
    ("D4", responses("accuracy", 0.5)),
    ("C1", dropped(task="counting", n_worms=[1, 2, 3])),
    ("C2", dropped(task="counting")),
    ("R2", dropped(**REGRESSION, n_training=[500])),
    ("S1", dropped(task="detection")),
    ("S1", dropped(task="counting", **FL)),
]


@pytest.mark.parametrize(("wanted", "remove"), ABSENCES, ids=[f"{i}-{v[0]}" for i, v in enumerate(ABSENCES)])
def test_a_claim_without_its_data_is_open_and_says_what_is_missing(tables, tmp_path, wanted, remove):
    remove(tables)
    found = claim(tables, tmp_path, wanted)
    assert found.holds is None
    assert found.measured.startswith("not measured: ")
    assert str(tmp_path) not in found.measured


def test_a_gain_from_a_smaller_size_is_named(tables, tmp_path):
    dropped(**REGRESSION, n_training=[500, 1000])(tables)
    tables.study = tables.study.replace("[100, 500, 1000, 4000]", "[100, 4000]")
    assert "from 100 (no size from 500 on" in claim(tables, tmp_path, "R2").measured


def test_the_published_network_is_compared_at_its_own_mu(tables, tmp_path):
    times("loss", 1e9, **REGRESSION, **EQ, shape="200x10", mu=0.97)(tables)
    found = claim(tables, tmp_path, "R6")
    assert found.holds
    assert "mu = 0.91, 1.05: EQ" in found.measured


def test_selectivity_is_judged_on_the_architecture_that_has_learned_the_task(tables, tmp_path):
    responses("accuracy", 0.5, architecture="ST")(tables)
    found = claim(tables, tmp_path, "D4")
    assert found.holds
    assert "no ST model reaches an accuracy of 0.9" in found.measured


def test_fixed_networks_say_nothing_of_a_search(tables, tmp_path):
    fixed = "[tasks.detection.families]\nEQ = {}\nST = { networks = [{ config = {} }] }\nFL = {}\n\n"
    tables.study = tables.study.replace("[tasks.detection.test]", f"{fixed}[tasks.detection.test]")
    claims = {claim.id: claim for claim in judge(tables.write(tmp_path / "run"))}
    assert claims["S1"].holds is None
    assert "study.toml: gives the detection its networks of ST, without a search" in claims["S1"].measured
    assert claims["D1"].holds


@pytest.mark.parametrize(("section", "lost"), [("zhou", {"R6"}), ("detection", {"D1", "D2", "D3", "D4"})])
def test_a_study_without_a_section_leaves_its_claims_open(tables, tmp_path, section, lost):
    content = tomllib.loads(tables.study)
    del content["tasks"][section]
    tables.study = as_toml(content)
    claims = {claim.id: claim for claim in judge(tables.write(tmp_path / "run"))}
    assert {name for name, claim in claims.items() if claim.holds is None} == lost
    assert {claims[name].measured for name in lost} == {
        f"not measured: study.toml: the study has no section tasks.{section}"
    }


def test_a_second_family_of_an_architecture_is_not_judged(tables, tmp_path):
    """The claims are on the first one, whatever another one does."""
    before = [claim.measured for claim in judge(tables.write(tmp_path / "before"))]
    tables.study = tables.study.replace("FL = {}\n", 'FL = {}\n"EQ, mine" = { architecture = "EQ" }\n', 1)
    mine = tables.metrics[rows_where(tables, task="regression", architecture="EQ")]
    tables.metrics = pd.concat([tables.metrics, mine.assign(family="EQ, mine", loss=1.0, mean=0.0)])
    after = [claim.measured for claim in judge(tables.write(tmp_path / "after"))]
    assert after[:-1] == before[:-1]
    assert "regression EQ 1200, ST 5000, FL 60000, EQ, mine 1200;" in after[-1]


MINE = Claim("M1", "The sky is blue.", "", lambda results: Verdict(results.study.name, True))


def test_a_claim_of_somebody_else_is_judged(tables, tmp_path, monkeypatch):
    """An entry point stands behind those of the paper."""
    point = EntryPoint("M1", f"{__name__}:MINE", "fluxeq.claims")
    monkeypatch.setitem(CLAIMS._points, "M1", point)
    *others, found = judge(tables.write(tmp_path / "run"))
    assert [claim.id for claim in others] == IDS
    assert (found.id, found.measured, found.holds) == ("M1", "synthetic", True)


@pytest.mark.parametrize("name", ["np", "claim"])
def test_what_is_not_a_claim_is_refused(name):
    with pytest.raises(InputError, match=rf"^claim '{__name__}:{name}': an instance of \S+Claim is needed$"):
        CLAIMS[f"{__name__}:{name}"]


def test_the_sizes_of_all_winners_are_listed(tables, tmp_path):
    becomes("n_parameters", 300, **REGRESSION, **EQ, **LARGEST, instance=2)(tables)
    assert "regression EQ 300 and 1200, ST 5000, FL 60000;" in claim(tables, tmp_path, "S1").measured


@pytest.mark.parametrize(
    ("wanted", "second", "places"),
    [
        ("D1", {"task": "detection", "mu": 1.25}, "at mu = 1, 1.25, 1.5"),
        ("C1", {"task": "counting", "n_worms": 1}, f"on 8x8 with N = {', '.join(map(str, range(11)))}"),
    ],
    ids=["D1", "C1"],
)
def test_accuracies_are_listed_point_by_point_for_each_architecture(tables, tmp_path, wanted, second, places):
    becomes("accuracy", 0.25, **FL, **second)(tables)
    measured = claim(tables, tmp_path, wanted).measured
    where, *listed = re.fullmatch(r"median accuracy (.*): EQ (.*); ST (.*); FL (.*)", measured).groups()
    assert where == places
    n = len(places.split(", "))
    assert all(len(points.split(", ")) == n for points in listed)
    assert re.fullmatch(r"0.\d+ \[0.\d+ ... 0.\d+\], 0.25(, 0.\d+ \[0.\d+ ... 0.\d+\])+", listed[-1])


def test_the_spread_over_mu_stands_beside_the_medians(tables, tmp_path):
    becomes("accuracy", 0.25, task="detection", **EQ, mu=1.25)(tables)
    measured = claim(tables, tmp_path, "D2").measured
    *medians, spread = re.fullmatch(
        r"median accuracy at mu = 1, 1.25, 1.5: EQ (\S+)\D.*, (0.25), (\S+)\D.*; a spread of (.*)", measured
    ).groups()
    assert float(spread) == pytest.approx(max(map(float, medians)) - 0.25, abs=1e-3)


def test_the_selectivity_has_an_interval(tables, tmp_path):
    table = tables.measurements["responses"]
    chosen = table["architecture"] == "EQ"
    table.loc[chosen, "selectivity"] = np.linspace(0.6, 0.9, chosen.sum())
    assert re.search(r"EQ 0.75 \[0.6 ... 0.9\] over", claim(tables, tmp_path, "D4").measured)


def test_a_failed_instance_is_the_worst_one_and_does_not_drop_out(tables, tmp_path):
    becomes("loss", np.nan, **REGRESSION, **EQ, **LARGEST, instance=[0, 1])(tables)
    found = claim(tables, tmp_path, "R1")
    assert found.holds is False
    assert "EQ inf" in found.measured


def test_claims_are_written_as_the_contract_says(tables, tmp_path):
    without_responses(tables)
    run = tables.write(tmp_path / "run")
    claims = write_claims(run)
    written = json.loads((run / "claims.json").read_text())
    assert [list(row) for row in written] == [["id", "statement", "paper", "measured", "holds"]] * len(IDS)
    assert [row["holds"] for row in written] == [claim.holds for claim in claims]
    assert {row["id"]: row["holds"] for row in written}["D4"] is None


def test_a_run_without_scores_leaves_all_claims_open(tmp_path):
    claims = judge(tmp_path)
    assert [claim.id for claim in claims] == IDS
    assert {claim.holds for claim in claims} == {None}
    assert claims[-1].measured == "not measured: study.toml: no such file; run 'fluxeq reproduce' first"


def test_a_run_without_scores_says_so(tables, tmp_path):
    run = tables.write(tmp_path / "run")
    (run / "metrics.csv").unlink()
    found = judge(run)
    assert {claim.id for claim in found if claim.holds is not None} == {"D4"}  # which needs none
    assert found[0].measured == "not measured: metrics.csv: no such file; run 'fluxeq reproduce' first"


def test_an_unfinished_run_is_not_judged_by_its_smaller_training_sets(tables, tmp_path):
    dropped(**REGRESSION, **LARGEST)(tables)
    open_claims = {claim.id for claim in judge(tables.write(tmp_path / "run")) if claim.holds is None}
    assert open_claims == {"R1", "R2", "R3", "R4", "R5", "R6", "S1"}


NEAR = 1e-9
"""A difference between values of mu that six digits do not show."""


def test_values_of_mu_that_agree_to_six_digits_are_two(tables, tmp_path):
    """Each has a place and a name of its own, and no network is compared at one with a network at the other."""
    tables.metrics.loc[rows_where(tables, task="detection", mu=1.25), "mu"] = 1.5 + NEAR
    tables.metrics.loc[rows_where(tables, task="zhou"), "mu"] += NEAR
    found = {claim.id: claim for claim in judge(tables.write(tmp_path / "run"))}
    assert found["D1"].measured.startswith("median accuracy at mu = 1, 1.5, 1.500000001: ")
    assert found["R6"].holds is None
    assert "at no common mu" in found["R6"].measured


def test_the_best_instance_is_that_at_the_mu_of_the_training(tables, tmp_path):
    """Not that of one that is very near it."""
    before = claim(tables, tmp_path / "a", "R4")
    rows = tables.metrics[rows_where(tables, task="regression", architecture="EQ", mu=1.05)]
    for instance in range(3):
        other = rows.assign(mu=1.05 + NEAR, loss=rows["loss"].where(rows["instance"] != instance, 1e-30))
        changed = synthetic_run.Tables(
            pd.concat([tables.metrics, other]), tables.measurements, tables.study, tables.searches
        )
        found = claim(changed, tmp_path / str(instance), "R4")
        worst = [each.measured.split("worst at ")[1].split(";")[0] for each in (before, found)]
        assert worst[0] == worst[1]
