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
from fluxeq.study.family import PROTOCOLS

IDS = ["R1", "R2", "R3", "R4", "R5", "R6", "D1", "D2", "D3", "D4", "C1", "C2", "S1"]
Change = Callable[[synthetic_run.Tables], None]


def claim(tables: synthetic_run.Tables, tmp_path, wanted: str) -> Judgement:
    return judged(CLAIMS[wanted], Results(tables.write(tmp_path / "run"), "searched"))


def searched(claims: list[Judgement]) -> dict[str, Judgement]:
    return {claim.id: claim for claim in claims if claim.protocol == "searched"}


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
    """Within the errors, but without an onset: the errors of n exceed n."""
    chosen = rows_where(tables, task="regression", architecture="EQ", shape="200x10", target="n")
    tables.metrics.loc[chosen, "truth_error"] = 10.0
    tables.metrics.loc[chosen, "mean"] = 0.0


def disagrees_with_the_reference(tables):
    """Its values deviate by three combined errors at all points."""
    rows = tables.metrics[rows_where(tables, task="regression", family="EQ", n_training=4000, instance=0)]
    names = ["eta", "lam", "mu", "shape", "target", "truth", "truth_error"]
    table = rows[names].rename(columns={"truth": "value", "truth_error": "error"})
    table["value"] += 3 * np.hypot(table["error"], table["error"])
    tables.references["regression"] = table.assign(source="500 configurations")


def test_a_reference_without_an_error_says_nothing(tables, tmp_path):
    """For instance from a single configuration, or from one without fluctuations."""
    disagrees_with_the_reference(tables)
    tables.references["regression"]["error"] = np.nan
    found = claim(tables, tmp_path, "R4")
    assert found.verdict == "holds"
    assert "0 of 0 points disagree" in found.measured


def test_all_claims_hold_where_the_paper_is_right(tables, tmp_path):
    claims = judge(tables.write(tmp_path / "run"))
    assert [(claim.id, claim.protocol) for claim in claims] == [(name, each) for name in IDS for each in PROTOCOLS]
    rest = {(claim.id, claim.protocol, claim.verdict) for claim in claims if claim.verdict != "holds"}
    assert rest == {("S1", "same layers", "not run")}


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
    ("R4", becomes("bias", 0.5, **REGRESSION, **EQ, target="n", shape="50x2", mu=0.97)),
    ("R4", becomes("bias", -0.5, **REGRESSION, **EQ, target="phi2", shape="50x2", mu=0.97)),
    ("R4", becomes("bias", 0.02, **REGRESSION, **EQ, target="n", shape="50x2", mu=0.91)),
    ("R4", becomes("bias", np.nan, **REGRESSION, **EQ, target="n", shape="50x2", mu=0.97)),
    ("R4", disagrees_with_the_reference),
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
    assert claim(tables, tmp_path, wanted).verdict == "does not hold"


UNDECIDED = [
    ("R1", times("loss", 1e-3, **REGRESSION, **ST, **LARGEST, instance=1), "undecided by ST: the interval contains"),
    ("R2", times("loss", 1e-3, **REGRESSION, **FL, **LARGEST, instance=1), "undecided by FL: the interval contains"),
    ("R1", dropped(**REGRESSION, **FL, instance=[1, 2]), "undecided by FL: one instance has no interval; more"),
    (
        "R3",
        times("loss", 1e-4, **REGRESSION, architecture="FL", augmentation=True, instance=0),
        "by FL, augmented: the",
    ),
    ("R4", becomes("bias_error", 9.0, **REGRESSION, **EQ, shape="50x2", mu=0.97), "undecided at 2 points: more test"),
    ("R5", times("loss", 1e-4, **REGRESSION, **ST, **LARGEST, shape="200x10", instance=1), "by ST on 200x10"),
    ("R6", times("loss", 1e-3, task="zhou", instance=1), "undecided by the ratio"),
    ("D1", becomes("accuracy", 1.0, task="detection", **FL, mu=1.25, instance=1), "undecided by FL"),
    ("D2", times("accuracy", 0.9, task="detection", **EQ, mu=1.25, instance=1), "undecided by EQ"),
    ("D3", becomes("accuracy", 1.0, task="detection", **ST, shape="64x64", instance=1), "undecided by ST"),
    ("D4", responses("selectivity", 0.2, architecture="EQ", instance=1), "undecided by EQ"),
    ("C1", becomes("accuracy", 0.9, task="counting", **EQ, n_worms=10, instance=1), "undecided by EQ"),
]


@pytest.mark.parametrize(("wanted", "blur", "why"), UNDECIDED, ids=[f"{i}-{v[0]}" for i, v in enumerate(UNDECIDED)])
def test_a_claim_whose_interval_contains_the_threshold_is_undecided(tables, tmp_path, wanted, blur, why):
    blur(tables)
    found = claim(tables, tmp_path, wanted)
    assert found.verdict == "undecided"
    assert why in found.measured


def test_every_strided_family_counts(tables, tmp_path):
    """For one with a late stride that is as good as EQ, the claim does not hold."""
    before = claim(tables, tmp_path / "before", "R1")
    line = '"ST, late" = { architecture = "ST" }\n'
    tables.study = tables.study.replace("[tasks.regression.families]\n", f"[tasks.regression.families]\n{line}")
    late = tables.metrics[rows_where(tables, **REGRESSION, **EQ, protocol="searched")]
    tables.metrics = pd.concat([tables.metrics, late.assign(family="ST, late", architecture="ST")])
    found = claim(tables, tmp_path / "after", "R1")
    assert (before.verdict, found.verdict) == ("holds", "does not hold")
    assert re.search(r"ST, late \S+ \(1 \[", found.measured)


def on_no_common_lattice(tables):
    """ST was tested on one lattice, and EQ on the others."""
    there = tables.metrics["shape"] == "50x2"
    wrong = rows_where(tables, **REGRESSION, **ST) & ~there | rows_where(tables, **REGRESSION, **EQ) & there
    tables.metrics = tables.metrics[~wrong]


ABSENCES = [
    ("R5", on_no_common_lattice),
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
    assert found.verdict == "not run"
    assert found.measured.startswith("not run: ")
    assert str(tmp_path) not in found.measured


def test_a_gain_from_a_smaller_size_is_named(tables, tmp_path):
    dropped(**REGRESSION, n_training=[500, 1000])(tables)
    tables.study = tables.study.replace("[100, 500, 1000, 4000]", "[100, 4000]")
    assert "from 100 (no size from 500 on" in claim(tables, tmp_path, "R2").measured


def test_the_published_network_is_compared_at_its_own_mu(tables, tmp_path):
    times("loss", 1e9, **REGRESSION, **EQ, shape="200x10", mu=0.97)(tables)
    found = claim(tables, tmp_path, "R6")
    assert found.verdict == "holds"
    assert "mu = 0.91, 1.05: EQ" in found.measured


def test_selectivity_is_judged_on_the_architecture_that_has_learned_the_task(tables, tmp_path):
    responses("accuracy", 0.5, architecture="ST")(tables)
    found = claim(tables, tmp_path, "D4")
    assert found.verdict == "holds"
    assert "no ST model reaches an accuracy of 0.9" in found.measured


@pytest.mark.parametrize(("section", "lost"), [("zhou", {"R6"}), ("detection", {"D1", "D2", "D3", "D4"})])
def test_a_study_without_a_section_leaves_its_claims_open(tables, tmp_path, section, lost):
    content = tomllib.loads(tables.study)
    del content["tasks"][section]
    tables.study = as_toml(content)
    claims = searched(judge(tables.write(tmp_path / "run")))
    assert {name for name, claim in claims.items() if claim.verdict == "not run"} == lost
    assert {claims[name].measured for name in lost} == {
        f"not run: study.toml: the study has no section tasks.{section}"
    }


def test_the_first_family_with_the_symmetry_is_the_reference(tables, tmp_path):
    """The claims refer to that one, independent of other families."""
    before = [claim.measured for claim in judge(tables.write(tmp_path / "before"))]
    mine = '\n"EQ, mine" = { architecture = "EQ" }\n\n[tasks.detection]\n'
    tables.study = tables.study.replace("\n[tasks.detection]\n", mine, 1)
    rows = tables.metrics[rows_where(tables, task="regression", family="EQ")]
    tables.metrics = pd.concat([tables.metrics, rows.assign(family="EQ, mine", loss=1.0, bias=1.0)])
    after = [claim.measured for claim in judge(tables.write(tmp_path / "after"))]
    assert after[:-1] == before[:-1]
    assert "regression EQ 1200, ST 5000, FL 60000, EQ, mine 1200;" in after[-1]


MINE = Claim("M1", "The sky is blue.", "", lambda results: Verdict(results.study.name, True))


def test_a_claim_of_somebody_else_is_judged(tables, tmp_path, monkeypatch):
    """Entry points come after the claims of the paper."""
    point = EntryPoint("M1", f"{__name__}:MINE", "fluxeq.claims")
    monkeypatch.setitem(CLAIMS._points, "M1", point)
    *others, _, found = judge(tables.write(tmp_path / "run"))
    assert len(others) == 2 * len(IDS)
    assert (found.id, found.protocol, found.measured, found.verdict) == ("M1", "searched", "synthetic", "holds")


@pytest.mark.parametrize("name", ["np", "claim"])
def test_what_is_not_a_claim_is_refused(name):
    with pytest.raises(InputError, match=rf"^claim '{__name__}:{name}': must be an instance of \S+Claim$"):
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
        r"median accuracy at mu = 1, 1.25, 1.5: EQ (\S+)\D.*, (0.25), (\S+)\D.*; a spread of (\S+?)( \[.*)?", measured
    ).groups()[:4]
    assert float(spread) == pytest.approx(max(map(float, medians)) - 0.25, abs=1e-3)


def test_the_selectivity_has_an_interval(tables, tmp_path):
    table = tables.measurements["responses"]
    chosen = table["architecture"] == "EQ"
    table.loc[chosen, "selectivity"] = np.tile(np.linspace(0.6, 0.9, chosen.sum() // 2), 2)
    assert re.search(r"EQ 0.75 \[0.6 ... 0.9\] over", claim(tables, tmp_path, "D4").measured)


def test_a_failed_instance_is_the_worst_one_and_does_not_drop_out(tables, tmp_path):
    becomes("loss", np.nan, **REGRESSION, **EQ, **LARGEST, instance=[0, 1])(tables)
    found = claim(tables, tmp_path, "R1")
    assert found.verdict == "undecided"
    assert "EQ inf" in found.measured


def test_claims_are_written_as_the_contract_says(tables, tmp_path):
    without_responses(tables)
    run = tables.write(tmp_path / "run")
    claims = write_claims(run)
    written = json.loads((run / "claims.json").read_text())
    keys = ["id", "protocol", "statement", "paper", "measured", "verdict"]
    assert [list(row) for row in written] == [keys] * len(IDS) * len(PROTOCOLS)
    assert [row["verdict"] for row in written] == [claim.verdict for claim in claims]
    assert {row["verdict"] for row in written if row["id"] == "D4"} == {"not run"}


def test_a_run_without_scores_leaves_all_claims_open(tmp_path):
    claims = judge(tmp_path)
    assert [claim.id for claim in claims[::2]] == IDS
    assert {claim.verdict for claim in claims} == {"not run"}
    assert claims[-1].measured == "not run: study.toml: no such file; run 'fluxeq reproduce' first"


def test_a_run_without_scores_says_so(tables, tmp_path):
    run = tables.write(tmp_path / "run")
    (run / "metrics.csv").unlink()
    found = judge(run)
    assert {claim.id for claim in found if claim.verdict != "not run"} == {"D4"}  # it needs no scores
    assert found[0].measured == "not run: metrics.csv: no such file; run 'fluxeq reproduce' first"


def test_an_unfinished_run_is_not_judged_by_its_smaller_training_sets(tables, tmp_path):
    dropped(**REGRESSION, **LARGEST)(tables)
    claims = searched(judge(tables.write(tmp_path / "run")))
    assert {name for name, claim in claims.items() if claim.verdict == "not run"} == {
        "R1",
        "R2",
        "R3",
        "R4",
        "R5",
        "R6",
        "S1",
    }


NEAR = 1e-9
"""A difference between values of mu beyond six digits."""


def test_values_of_mu_that_agree_to_six_digits_are_two(tables, tmp_path):
    """Each has its own point and name, and networks at different mu are not compared."""
    tables.metrics.loc[rows_where(tables, task="detection", mu=1.25), "mu"] = 1.5 + NEAR
    tables.metrics.loc[rows_where(tables, task="zhou"), "mu"] += NEAR
    found = searched(judge(tables.write(tmp_path / "run")))
    assert found["D1"].measured.startswith("median accuracy at mu = 1, 1.5, 1.500000001: ")
    assert found["R6"].verdict == "not run"
    assert "at no common mu" in found["R6"].measured


def test_the_best_instance_is_that_at_the_mu_of_the_training(tables, tmp_path):
    """Not at a value of mu very close to it."""
    before = claim(tables, tmp_path / "a", "R4")
    rows = tables.metrics[rows_where(tables, task="regression", architecture="EQ", mu=1.05)].assign(bias=0.0)
    for instance in range(3):
        other = rows.assign(mu=1.05 + NEAR, loss=rows["loss"].where(rows["instance"] != instance, 1e-30))
        changed = synthetic_run.Tables(pd.concat([tables.metrics, other]), tables.measurements, tables.study)
        found = claim(changed, tmp_path / str(instance), "R4")
        worst = [re.search(r"points \(.*?, (.*?);", each.measured)[1] for each in (before, found)]
        assert worst[0] == worst[1]
