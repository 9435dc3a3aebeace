"""The study file: whatever stands in it, there is a plan that can be worked off, or one line that says why not."""

import datetime
import json
import math
import tomllib
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fluxeq.errors import InputError
from fluxeq.runs.plan import digests, plan
from fluxeq.study.study import load_study, study_text

QUICK = tomllib.loads(study_text("quick"))


def toml(value):
    """A value as TOML, tables in one line."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{json.dumps(key)} = {toml(item)}' for key, item in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return json.dumps(value)


def text_with(*changes):
    """The study file quick, with other values at some dotted places."""
    study = json.loads(json.dumps(QUICK))
    for place, value in changes:
        *way, last = place.split(".")
        table = study
        for name in way:
            table = table[int(name)] if isinstance(table, list) else table[name]
        table[int(last) if isinstance(table, list) else last] = value
    return "\n".join(f"{key} = {toml(value)}" for key, value in study.items())


@pytest.fixture
def study_with(tmp_path):
    """Load such a study."""

    def load(*changes):
        path = tmp_path / "mine.toml"
        path.write_text(text_with(*changes), encoding="utf-8")
        return load_study(path)

    return load


REFUSED = [
    ("regression.mu", math.nan, "regression.mu = nan: Input should be a finite number"),
    ("regression.eta", math.inf, "regression.eta = inf: Input should be a finite number"),
    ("counting.couplings.0.1", -math.inf, "finite number"),
    ("regression.lam", -1.0, "lam = -1: the action is bounded"),
    ("detection.lam", 0, "the free field needs eta > 2 cosh"),
    ("regression.test_mu", [], r"regression\.test_mu = \[\]: Value should have at least 1 item"),
    ("regression.test_mu", [1.05, 1.05, 0.91], "regression.test_mu = .*: 1.05 is there twice"),
    ("detection.test_mu", [0, -0.0, 1.0, 1.5], "0.0 is there twice"),
    ("detection.test_eta", [4.01, 4.25, 4.01], "4.01 is there twice"),
    ("detection.test_eta", [], "at least 1 item"),
    ("counting.test_shapes", [[8, 8], [16, 16], [8, 8]], r"\(8, 8\) is there twice"),
    ("counting.test_shapes", [], "at least 1 item"),
    ("counting.test_shapes", [[8, 8], [8, 8, 8]], "lattices of one dimension"),
    ("regression.test_shapes", [[60, 4], [200, 10], [4, 4, 4]], "lattices of one dimension"),
    ("counting.couplings", [[4.01, 1.5], [4.01, 1.5]], r"\(4.01, 1.5\) is there twice"),
    ("counting.couplings", [], "at least 1 item"),
    ("counting.couplings", [[4.01, 1.5, 1.0]], "couplings"),
    ("counting.couplings", [[4.01, 1.3]], "must be among those of its tests"),
    ("counting.n_worms", [0, 0, 5], "0 is there twice"),
    ("counting.n_worms", [0], "at least 2 items"),
    ("counting.n_worms", [0, -5], "greater than or equal to 0"),
    ("counting.n_worms", [0, 17], "n_worms: 17 worms on 8x8: at most 16 there"),
    ("counting.test_n_worms", [0, 17], "test_n_worms: 17 worms on 8x8: at most 16 there"),
    ("counting.test_n_worms", [0, 1, 1], "1 is there twice"),
    ("detection.test_n_worms", [0, 2], "test_n_worms has 1, which is drawn"),
    ("detection.n_worms", [1, 2], "n_worms has 0 and another number"),
    ("detection.configurations", 9, "greater than or equal to 10"),
    ("regression.n_training", [], "at least 1 item"),
    ("regression.n_training", [250, 250], "250 is there twice"),
    ("regression.n_training", [500, 250], "in rising order"),
    ("regression.n_training", [100], "search.n_training = 250: there are 100 at most"),
    ("detection.search.n_training", 4001, "search.n_training = 4001: there are 4000 at most"),
    ("regression.architectures", [], "at least 1 item"),
    ("regression.architectures", ["EQ", "ST", "FL", "EQ"], "'EQ' is there twice"),
    ("regression.architectures", ["EQ", "XX"], "architecture 'XX': choose one of EQ, ST, FL"),
    ("regression.augmented", ["FL", "FL"], "'FL' is there twice"),
    ("regression.augmented", ["XX"], "augmented: 'XX': choose among the architectures of the task"),
    ("regression.instances", 10**9, "less than or equal to 1000"),
    ("regression.instances", 2.5, "instances = 2.5"),
    ("regression.instances", 10**400, "instances"),
    ("regression.shape", [60], "must contain"),
    ("regression.shape", [], "at least 1 item"),
    ("regression.shape", [1, 4], "greater than or equal to 2"),
    ("detection.shape", [8], "must be among those of its tests"),
    ("regression.search.space.strides", [7], "strides: 7 does not divide the lattice 60x4"),
    ("reference.mu", [], "at least 1 item"),
    ("reference.mu", [0.91, 0.91], "0.91 is there twice"),
    ("reference.n_training", 1, "at least one for each of 2 mu"),
    ("sampling", {"chains": 0}, "chains"),
    ("detection.test_mu", [800, 1.0, 1.5], "mu = 800"),
    ("name", "", "name"),
    ("name", 3, "name = 3"),
    ("seed", 1.5, "seed = 1.5"),
    ("regression", 3, "regression = 3"),
]


@pytest.mark.parametrize(("place", "value", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_done_is_refused_in_one_line(study_with, place, value, message):
    with pytest.raises(InputError, match=message) as refusal:
        study_with((place, value))
    assert "\n" not in str(refusal.value)


def test_the_same_number_of_another_type_is_the_same(study_with):
    """Whole numbers as couplings, and whole floats as counts, fit where they are equal."""
    quick, changed = plan(load_study("quick")), plan(study_with(("regression.lam", 1), ("regression.shape", [60.0, 4])))
    assert digests(changed) == digests(quick)
    assert study_with(("detection.test_mu", [0, 1, 1.5])).detection.test_mu == (0.0, 1.0, 1.5)


def test_zero_has_no_sign(study_with):
    names = [[job.name for job in plan(study_with(("detection.test_mu", [zero, 1.0, 1.5])))] for zero in (0, 0.0, -0.0)]
    assert names[0] == names[1] == names[2]
    assert "sample/test-lam1-8x8-eta4.01-mu0" in names[0]


NEAR = 1e-9


@pytest.mark.parametrize(
    "changes",
    [
        [("regression.test_mu", [0.91, 1.0, 1.05, 1.05 + NEAR])],
        [("reference.mu", [0.91, 0.91 + NEAR]), ("regression.test_mu", [0.91, 0.91 + NEAR, 1.05])],
        [("detection.test_mu", [1.0, 1.5, 1.5 + NEAR])],
        [("detection.test_eta", [4.01, 4.01 + NEAR, 4.25])],
        [("counting.couplings", [[4.01, 1.5], [4.01, 1.5 + NEAR]]), ("counting.test_mu", [1.5, 1.5 + NEAR])],
        [("detection.lam", 1 + NEAR)],
        [("detection.couplings", [[4.01, 1.5 + NEAR], [4.01, 1.5]]), ("detection.test_mu", [1.5, 1.5 + NEAR])],
    ],
    ids=range(7),
)
def test_couplings_that_agree_to_six_digits_share_nothing(study_with, changes):
    """Neither name, nor file, nor seed; and what is measured on them has been made."""
    jobs = plan(study_with(*changes))
    sampled = {
        str(job.settings["couplings"] + list(job.settings["shape"])): job for job in jobs if job.kind == "sample"
    }
    assert any("000000" in place for place in sampled)
    made = unique_outputs(jobs)
    seeds = [job.settings["seed"] for job in jobs if job.kind in ("sample", "worms")]
    assert len(seeds) == len(set(seeds))
    measured = next(job.settings for job in jobs if job.kind == "measure")
    assert set(measured["data"].values()) <= made
    detection = next(job for job in jobs if job.outputs == (measured["data"]["closed"],))
    assert detection.settings["couplings"][2] == study_with(*changes).detection.couplings[0][1]


def unique_outputs(jobs):
    """All outputs, none of them of two jobs; nor has a job the name of another."""
    outputs = Counter(output for job in jobs for output in job.outputs)
    assert set(outputs.values()) == {1}
    assert len({job.name for job in jobs}) == len(jobs)
    return set(outputs)


def test_each_task_is_measured_on_a_lattice_of_its_own(study_with):
    jobs = plan(study_with(("counting.shape", [16, 16]), ("counting.couplings", [[4.25, 1.0], [4.01, 1.5]])))
    measured = next(job.settings for job in jobs if job.kind == "measure")
    assert set(measured["data"].values()) <= unique_outputs(jobs)
    assert measured["data"]["counting"] == "ensembles/counting-test-lam1-16x16-eta4.25-mu1.h5"


@pytest.mark.parametrize(("task", "n"), [("counting", 1004), ("detection", 19), ("counting", 10)])
def test_the_validation_set_is_as_large_as_trainings_ask(study_with, task, n):
    """A tenth of the training, whatever the numbers of couplings and worms divide."""
    study = study_with((f"{task}.configurations", n), (f"{task}.search.n_training", 10))
    jobs = {job.name: job for job in plan(study)}
    training = jobs[f"train/{task}-EQ-{n * 4}"].settings
    sizes = {job.settings["output"]: job.settings["n_configurations"] for job in jobs.values() if job.kind == "sample"}
    source = {job.settings["output"]: job.settings["source"] for job in jobs.values() if job.kind == "worms"}
    found = [sizes[source[path]] for path in training["validation"]]
    assert sum(found) >= training["n_training"] // 10
    assert min(found) >= 2  # one for each number of worms


def test_a_study_draws_what_it_has_networks_for(study_with):
    def drawn(*changes):
        return {job.settings["name"] for job in plan(study_with(*changes)) if job.kind == "figure"}

    every = drawn()
    assert every - drawn(("regression.architectures", ["ST", "FL"])) == {"fig3"}
    assert every - drawn(("regression.architectures", ["FL"]), ("regression.augmented", [])) == {"fig3", "fig4"}
    assert every - drawn(("detection.architectures", ["FL"])) == {"fig5b", "fig6b"}
    assert every - drawn(("counting.architectures", ["FL"])) == {"fig7b"}


def test_a_published_network_that_cannot_be_built_is_told_before_anything_is_done(study_with):
    study = study_with(("reference.config", {"blocks": [{"channels": 2, "kernel": 1, "stride": 3}]}))
    with pytest.raises(InputError, match=r"reference\.config: lattice 200x10: .* divisible by 3"):
        study.reference.require_trainable()


ODD_BYTES = {
    "empty": b"",
    "binary": bytes(range(256)),
    "latin": 'name = "größe"'.encode("latin-1"),
    "deep": b"a = " + b"[" * 5000,
    "long number": b"seed = " + b"1" * 5000,
    "nul": b"\0",
}


@pytest.mark.parametrize("content", ODD_BYTES.values(), ids=ODD_BYTES)
def test_a_file_that_is_no_study(tmp_path, content):
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(InputError) as refusal:
        load_study(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_mark_before_the_text_and_other_ends_of_lines_change_nothing(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbf" + study_text("quick").replace("\n", "\r\n").encode())
    assert load_study(path) == load_study("quick")
    with pytest.raises(InputError, match="choose quick, laptop, paper, or the path of a TOML file"):
        load_study(tmp_path)


def places_in(value, way=()):
    """All places in the study file, sections included."""
    if way:
        yield ".".join(way)
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places_in(item, (*way, str(key)))


ODD = st.one_of(
    st.integers(),
    st.integers(-3, 300),
    st.floats(),
    st.sampled_from([0.0, -0.0, 1e308, -1e308, 5e-324, 700.0, 10**20, 2**63, 10**400, True, "", "EQ", "XY", "1", "\n"]),
    st.lists(st.one_of(st.integers(-2, 9), st.floats(), st.sampled_from(["EQ", "ST"])), max_size=3),
    st.lists(st.lists(st.integers(0, 70), max_size=3), max_size=3),
    st.dictionaries(st.sampled_from(["epochs", "EQ", "x", "config"]), st.integers(-1, 3), max_size=2),
    st.just(datetime.date(2026, 1, 1)),
)


@settings(
    max_examples=300, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(list(places_in(QUICK))), ODD)
def test_any_value_anywhere_gives_a_plan_or_one_line(study_with, place, value):
    found = outcome(lambda: study_with((place, value)))
    if isinstance(found, InputError):
        assert "\n" not in str(found).strip()
        return
    jobs = plan(found)
    made = unique_outputs(jobs)
    assert len(set(digests(jobs).values())) == len(jobs)
    measured = next(job.settings for job in jobs if job.kind == "measure")
    assert set(measured["data"].values()) <= made


def outcome(load):
    """A study, or why there is none."""
    try:
        return load()
    except InputError as refusal:
        return refusal
