"""The study file: any content gives a plan that can be run, or one line with the reason why not."""

import datetime
import json
import math
import subprocess
import sys
import tomllib
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fluxeq.errors import InputError
from fluxeq.runs.plan import fingerprints, plan
from fluxeq.study.extension import as_toml
from fluxeq.study.family import Family
from fluxeq.study.shared import with_shared_families
from fluxeq.study.study import SHIPPED, load_study, study_text

QUICK = with_shared_families(tomllib.loads(study_text("quick")))


def text_with(*changes):
    """The study file quick, with other values at the given dotted paths."""
    study = json.loads(json.dumps(QUICK))
    for place, value in changes:
        *way, last = place.split(".")
        table = study
        for name in way:
            table = table[int(name)] if isinstance(table, list) else table[name]
        table[int(last) if isinstance(table, list) else last] = value
    return as_toml(study)


@pytest.fixture
def study_with(tmp_path):
    """Load a study with changes."""

    def load(*changes):
        path = tmp_path / "mine.toml"
        path.write_text(text_with(*changes), encoding="utf-8")
        return load_study(path)

    return load


FARTHER = {"couplings": {"mu": [1.05]}, "shapes": [[2, 2]], "configurations": 1}
SEARCH = {"trials": 1, "n_training": 10, "recipe": {}}
REFUSED = [
    ("regression.training.0.mu", math.nan, r"regression\.training\.0\.mu = nan: Input should be a finite number"),
    ("regression.couplings.eta", math.inf, r"couplings\.eta = inf: Input should be a finite number"),
    ("counting.training.0.mu", -math.inf, "finite number"),
    ("regression.couplings.lam", -1.0, "lam = -1: the action is bounded"),
    ("detection.couplings.lam", 0, "the free field needs eta > 2 cosh"),
    ("regression.couplings.mu", 1.05, r"training\.0\.mu: already among the couplings of the section"),
    ("regression.couplings", {"eta": 4.01}, "theory 'phi4': its couplings are eta, lam, mu; eta, mu given"),
    ("regression.couplings.beta", 1.0, "its couplings are eta, lam, mu; eta, lam, beta, mu given"),
    ("regression.theory", "phi5", "theory 'phi5': choose one of phi4"),
    ("regression.task", "sorting", "task 'sorting': choose one of regression, detection, counting"),
    ("regression.test.couplings.mu", [], r"mu = \[\]: Value should have at least 1 item"),
    ("regression.test.couplings.mu", [1.05, 1.05, 0.91], "mu = .*: 1.05 is repeated"),
    ("detection.test.couplings.mu", [0, -0.0, 1.0, 1.5], "0.0 is repeated"),
    ("detection.test.couplings.eta", [4.01, 4.25, 4.01], "4.01 is repeated"),
    ("detection.test.couplings", {}, "its couplings are eta, lam, mu; lam given"),
    ("counting.test.shapes", [[8, 8], [16, 16], [8, 8]], r"\(8, 8\) is repeated"),
    ("counting.test.shapes", [], "at least 1 item"),
    (
        "counting.test.reference",
        10,
        "test.reference: counting counts worms, whose number is known exactly; leave it out",
    ),
    ("regression.test.reference", 0, "reference = 0"),
    ("regression.farther", [FARTHER | {"shapes": [[60, 4]]}], "farther: must have lattices that are not in test"),
    ("regression.farther", [FARTHER, FARTHER], "farther: must have lattices that are not in test, each once"),
    ("regression.farther", [FARTHER | {"shapes": [[4, 4, 4]]}], "all lattices must have the dimension"),
    ("regression.farther", [FARTHER | {"couplings": {"beta": [1.0]}}], "test.couplings: .*beta given"),
    ("regression.farther", [FARTHER | {"n_worms": [1]}], "n_worms: regression uses closed configurations"),
    (
        "counting.farther",
        [FARTHER | {"couplings": {"eta": [4.01], "mu": [1.5]}}],
        "n_worms: counting needs at least two numbers of worms, and at least one",
    ),
    ("counting.test.shapes", [[8, 8], [8, 8, 8]], "all lattices must have the dimension"),
    ("counting.training", [{"eta": 4.01, "mu": 1.5}] * 2, "is repeated"),
    ("counting.training", [], "at least 1 item"),
    ("counting.training", [[4.01, 1.5]], "training"),
    ("counting.training", [{"eta": 4.01, "mu": 1.3}], "test: couplings and shapes must include those of the"),
    ("counting.n_worms", [0, 0, 5], "0 is repeated"),
    ("counting.n_worms", [0], "at least two numbers of worms"),
    ("counting.n_worms", [0, -5], "greater than or equal to 0"),
    ("counting.n_worms", [0, 17], "n_worms: 17 worms on 8x8: at most 16 there"),
    ("counting.test.n_worms", [0, 17], "test.n_worms: 17 worms on 8x8: at most 16 there"),
    ("counting.test.n_worms", [0, 1, 1], "1 is repeated"),
    ("counting.test.n_worms", [], "at least one in the test"),
    ("regression.n_worms", [0, 1], "regression uses closed configurations"),
    ("detection.n_worms", [1, 2], "detection has the same label for all of them"),
    ("detection.n_training", [39], "must be at least 40, 10 for each coupling and number of worms"),
    ("regression.n_training", [], "at least 1 item"),
    ("regression.n_training", [250, 250], "250 is repeated"),
    ("regression.n_training", [500, 250], "must be strictly increasing"),
    ("regression.n_training", [100], "search.n_training = 250: must be at most 100"),
    ("detection.search.n_training", 4001, "search.n_training = 4001: must be at most 4000"),
    ("regression.search.elsewhere", {"mu": 1.05}, r"search\.elsewhere: must differ from the training couplings"),
    ("regression.search.elsewhere", {}, r"search\.elsewhere: must differ from the training couplings"),
    (
        "zhou.search",
        SEARCH | {"elsewhere": {"mu": 1.05}},
        r"search\.elsewhere: must differ from the training couplings",
    ),
    ("regression.search.elsewhere", {"beta": 1.0}, "search.elsewhere: .*couplings are eta, lam, mu; .*beta given"),
    ("regression.search.elsewhere", {"lam": -1.0}, r"search\.elsewhere: lam = -1: the action is bounded"),
    ("regression.search.elsewhere", {"lam": 0}, "the free field needs eta > 2 cosh"),
    ("regression.search.elsewhere", {"mu": math.nan}, r"search\.elsewhere\.mu = nan: Input should be a finite number"),
    ("regression.search.elsewhere", 0.97, r"search\.elsewhere = 0\.97"),
    ("counting.search.elsewhere", {"mu": 1.2}, r"search\.elsewhere: .*but counting counts worms"),
    ("regression.searches", 4, r"searches = 4: must be at most the number of instances \(2\)"),
    ("regression.families", {}, "at least 1 item"),
    ("regression.families.XX", {}, "architecture 'XX': choose one of EQ, ST, FL"),
    ("regression.families.EQ.architectur", "EQ", "architectur is unknown; did you mean architecture"),
    ("regression.families.", {"architecture": "EQ"}, "must have letters or digits"),
    ("regression.families.ST searched", {"architecture": "ST"}, "and differ from other names"),
    ("regression.families.f", {"function": "predict"}, "function = 'predict': must be module:name"),
    ("regression.families.f", {"function": "m:f", "augmentation": True}, "not trained, so no other setting"),
    ("regression.search", False, "search = False"),
    ("regression.instances", 10**9, "less than or equal to 1000"),
    ("regression.instances", 2.5, "instances = 2.5"),
    ("regression.instances", 10**400, "instances"),
    ("regression.shape", [60], "must include"),
    ("regression.shape", [], "at least 1 item"),
    ("regression.shape", [1, 4], "greater than or equal to 2"),
    ("zhou.training", [{"mu": 0.91}, {"mu": 0.91}], "is repeated"),
    ("zhou.n_training", [1], "must be at least one for each of 2 couplings"),
    ("detection.test.couplings.mu", [800, 1.0, 1.5], "mu = 800"),
    ("regression", 3, "regression = 3"),
    ("regression.test", 3, "test = 3"),
    ("two words", {}, "String should match pattern"),
]
GENERAL = [
    ("sampling", {"chains": 0}, "chains"),
    ("name", "", "name"),
    ("name", 3, "name = 3"),
    ("seed", 1.5, "seed = 1.5"),
    ("tasks", {}, "at least 1 item"),
    ("task", {}, "task is unknown; did you mean tasks"),
    ("extends", 3, "extends = 3: must be the name of another study"),
    ("extends", "nowhere.toml", "choose quick, laptop, paper, or the path of a TOML file"),
]
REFUSED = [(f"tasks.{place}", value, message) for place, value, message in REFUSED] + GENERAL


@pytest.mark.parametrize(("place", "value", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_done_is_refused_in_one_line(study_with, place, value, message):
    with pytest.raises(InputError, match=message) as refusal:
        study_with((place, value))
    assert "\n" not in str(refusal.value)


def test_the_same_number_of_another_type_is_the_same(study_with):
    """Integers as couplings, and integer floats as counts, are accepted."""
    changed = study_with(("tasks.regression.couplings.lam", 1), ("tasks.regression.shape", [60.0, 4]))
    assert fingerprints(plan(changed)) == fingerprints(plan(load_study("quick")))
    test = study_with(("tasks.detection.test.couplings.mu", [0, 1, 1.5])).tasks["detection"].test
    assert test.couplings["mu"] == (0.0, 1.0, 1.5)


def test_zero_has_no_sign(study_with):
    place = "tasks.detection.test.couplings.mu"
    names = [[job.name for job in plan(study_with((place, [zero, 1.0, 1.5])))] for zero in (0, 0.0, -0.0)]
    assert names[0] == names[1] == names[2]
    assert "sample/test-8x8-eta4.01-lam1-mu0" in names[0]


NEAR = 1e-9
TWICE = [{"eta": 4.01, "mu": 1.5}, {"eta": 4.01, "mu": 1.5 + NEAR}]


@pytest.mark.parametrize(
    "changes",
    [
        [("regression.test.couplings.mu", [0.91, 1.0, 1.05, 1.05 + NEAR])],
        [("zhou.training", [{"mu": 0.91}, {"mu": 0.91 + NEAR}]), ("zhou.test.couplings.mu", [0.91, 0.91 + NEAR])],
        [("detection.test.couplings.mu", [1.0, 1.5, 1.5 + NEAR])],
        [("detection.test.couplings.eta", [4.01, 4.01 + NEAR, 4.25])],
        [("counting.training", TWICE), ("counting.test.couplings.mu", [1.5, 1.5 + NEAR])],
        [("detection.couplings.lam", 1 + NEAR)],
        [("detection.training", TWICE[::-1]), ("detection.test.couplings.mu", [1.5, 1.5 + NEAR])],
    ],
    ids=range(7),
)
def test_couplings_that_agree_to_six_digits_share_nothing(study_with, changes):
    """Neither names, nor files, nor seeds; and the ensembles for measurements are sampled."""
    study = study_with(*((f"tasks.{place}", value) for place, value in changes))
    jobs = plan(study)
    assert any("000000" in job.name for job in jobs if job.kind == "sample")
    made = unique_outputs(jobs)
    seeds = [job.work.seed for job in jobs if job.kind in ("sample", "worms")]
    assert len(seeds) == len(set(seeds))
    measured = next(job.work for job in jobs if job.kind == "measure")
    assert {*measured.tests.values(), *measured.closed.values()} <= made
    detection = next(job for job in jobs if job.outputs == (measured.closed["detection"],))
    assert detection.work.couplings["mu"] == study.tasks["detection"].training[0]["mu"]


def unique_outputs(jobs):
    """All outputs; no output or name is shared by two jobs."""
    outputs = Counter(output for job in jobs for output in job.outputs)
    assert set(outputs.values()) == {1}
    assert len({job.name for job in jobs}) == len(jobs)
    return set(outputs)


def test_each_section_is_measured_on_a_lattice_of_its_own(study_with):
    first = [{"eta": 4.25, "mu": 1.0}, {"eta": 4.01, "mu": 1.5}]
    jobs = plan(study_with(("tasks.counting.shape", [16, 16]), ("tasks.counting.training", first)))
    measured = next(job.work for job in jobs if job.kind == "measure")
    assert {*measured.tests.values(), *measured.closed.values()} <= unique_outputs(jobs)
    assert measured.tests["counting"] == "ensembles/counting-test-16x16-eta4.25-lam1-mu1-open.h5"


@pytest.mark.parametrize(("task", "n"), [("counting", 4016), ("detection", 77), ("counting", 40)])
def test_the_validation_set_is_as_large_as_trainings_ask(study_with, task, n):
    """A tenth of the training set, even if couplings and numbers of worms do not divide it."""
    study = study_with((f"tasks.{task}.n_training", [n]), (f"tasks.{task}.search.n_training", 10))
    jobs = {job.name: job for job in plan(study)}
    training = jobs[f"train/{task}-EQ-{n}/000"].work
    sizes = {job.work.output: job.work.n_configurations for job in jobs.values() if job.kind == "sample"}
    source = {job.work.output: job.work.source for job in jobs.values() if job.kind == "worms"}
    assert sum(sizes[source[path]] for path in training.examples.training) >= n
    found = [sizes[source[path]] for path in training.examples.validation]
    assert sum(found) >= n // 10
    assert min(found) >= 2  # one for each number of worms


def test_the_search_looks_elsewhere(study_with):
    """Its values replace couplings of the section and of its first training point, on the training lattice."""
    section = study_with(("tasks.zhou.search", SEARCH | {"elsewhere": {"mu": 1, "lam": 0.5}})).tasks["zhou"]
    assert section.elsewhere.couplings == {"eta": 4.01, "lam": 0.5, "mu": 1.0}
    assert section.training_points[0].couplings == {"eta": 4.01, "lam": 1.0, "mu": 0.91}
    assert study_with().tasks["counting"].elsewhere is None
    assert "elsewhere" not in study_with().tasks["counting"].search.model_dump()


def test_sections_share_closed_tests(study_with):
    """Those of one point are as large as the largest test there; a task without worms uses its own number."""
    grid = {"couplings": {"mu": [1.05, 1.5]}, "shapes": [[60, 4], [8, 8]], "configurations": 5}
    jobs = {job.name: job for job in plan(study_with(("tasks.regression.test", grid)))}
    assert jobs["sample/test-8x8-eta4.01-lam1-mu1.5"].work.n_configurations == 8 * 7
    assert ("ensembles/test-8x8-eta4.01-lam1-mu1.5.h5", 5) in jobs["evaluate/regression-EQ-500"].work.tests


NEEDS_CLASSES = [
    ("regression.families.EQ.networks", [{"config": {"blocks": [{"channels": 2, "kernel": 0}]}}], "EQ blocks.0.kernel"),
    ("regression.families.mine", {"architecture": "no_such:Class"}, "architecture 'no_such:Class': cannot be imported"),
    ("regression.families.f", {"function": "math:pi"}, "function 'math:pi': must be a function of a batch"),
    (
        "zhou.families.Zhou.networks",
        [{"config": {"shape": [8, 8]}}],
        r"tasks\.zhou\.families\.Zhou: .*lattice 200x10: this FL network is for 8x8 only",
    ),
]


@pytest.mark.parametrize(("place", "value", "message"), NEEDS_CLASSES, ids=range(len(NEEDS_CLASSES)))
def test_what_cannot_be_built_is_told_before_anything_is_done(study_with, place, value, message):
    study = study_with((f"tasks.{place}", value))
    with pytest.raises(InputError, match=message) as refusal:
        study.require_importable()
    assert "\n" not in str(refusal.value)


def test_a_study_is_read_without_loading_jax():
    code = "import sys; from fluxeq.study.study import load_study; load_study('paper'); print('jax' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"


@pytest.mark.parametrize("name", SHIPPED)
def test_all_can_be_built(name):
    load_study(name).require_importable()


def test_families_have_names_of_their_own(study_with):
    families = study_with(("tasks.regression.families.second", {"architecture": "EQ"})).tasks["regression"].families
    assert families["second"] == Family(architecture="EQ") == families["EQ, searched"]
    assert families["ST, searched, augmented"] == Family(architecture="ST", augmentation=True)


EXTENDED = """# of another
name = "mine"
extends = "quick"
[tasks]
detection = false
counting = false
[tasks.regression]
instances = 5
families.FL = false
[tasks.regression.families.mine]
architecture = "EQ"
networks = [{ config = { blocks = [{ channels = 2, kernel = 2 }] }, recipe = { epochs = 3 } }]
"""


def test_a_study_takes_the_rest_from_another_one(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(EXTENDED)
    study, quick = load_study(path), load_study("quick")
    assert (study.name, list(study.tasks)) == ("mine", ["regression", "zhou"])
    regression = study.tasks["regression"]
    assert (regression.instances, regression.test) == (5, quick.tasks["regression"].test)
    assert list(regression.families) == [*(name for name in quick.tasks["regression"].families if name != "FL"), "mine"]
    assert study.tasks["zhou"] == quick.tasks["zhou"]
    alone = tmp_path / "alone.toml"
    alone.write_text(study_text(path))
    assert load_study(alone) == study
    assert alone.read_text().startswith("# of another\nname = ")
    assert study_text(alone) == alone.read_text()


def test_studies_that_extend_each_other(tmp_path):
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / f"{name}.toml").write_text(f'extends = "{other}.toml"')
    with pytest.raises(InputError, match=r"[ab]\.toml: extends = '[ab]\.toml': must be the name of another study"):
        load_study(tmp_path / "a.toml")


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
    """All paths in the study file, including sections."""
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
    assert len(set(fingerprints(jobs).values())) == len(jobs)
    measured = next(job.work for job in jobs if job.kind == "measure")
    assert {*measured.tests.values(), *measured.closed.values()} <= made


def outcome(load):
    """A study, or the error that it gives."""
    try:
        return load()
    except InputError as refusal:
        return refusal
