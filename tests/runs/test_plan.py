"""The jobs of a study: order and fingerprints, and no shared seed where independence is intended."""

import json
from collections import Counter
from dataclasses import replace
from importlib.metadata import EntryPoint

import pytest

from fluxeq.report.figures.figure import Figure, OfSearches
from fluxeq.report.figures.registry import FIGURES
from fluxeq.runs.jobs import DrawFigure, Evaluate, Search, Train
from fluxeq.runs.plan import part, plan
from fluxeq.study.study import SHIPPED, load_study
from fluxeq.workflow.job import fingerprints


@pytest.fixture(scope="module", params=[*SHIPPED, "elsewhere"])
def study(request):
    return elsewhere() if request.param == "elsewhere" else load_study(request.param)


def elsewhere():
    """The study quick, with a second validation set for the search of the regression."""
    quick = plain_quick()
    return changed(quick, "regression", search=quick.tasks["regression"].search.model_dump() | ELSEWHERE)


ELSEWHERE = {"elsewhere": {"mu": 0.97}}


@pytest.fixture(scope="module")
def jobs(study):
    return plan(study)


@pytest.fixture(scope="module")
def quick():
    return plain_quick()


def plain_quick():
    """The study quick with one searched family per architecture, and no optional parts."""
    study = load_study("quick")
    for name in ("regression", "detection", "counting"):
        families = {architecture: {} for architecture in ("EQ", "ST", "FL")}
        if name == "regression":
            families |= {f"{each}, augmented": {"architecture": each, "augmentation": True} for each in ("ST", "FL")}
        search = study.tasks[name].search.model_dump() | {"elsewhere": None}
        test = study.tasks[name].test.model_dump() | {"reference": None}
        if name == "regression":
            test["couplings"] = {"mu": [0.91, 0.93, 0.95, 0.97, 0.99, 1.01, 1.03, 1.05]}
        sizes = {"n_training": [100, 500] if name == "regression" else [4000], "instances": 3}
        study = changed(study, name, families=families, search=search, test=test, **sizes)
    return study


def changed(study, section, **settings):
    """A study with changed settings in one section, validated."""
    content = study.model_dump()
    content["tasks"][section] |= settings
    return type(study).model_validate(content)


def works(jobs, kind):
    return [job.work for job in jobs if isinstance(job.work, kind)]


def test_each_job_comes_after_what_it_needs(jobs):
    done = set()
    for job in jobs:
        assert done.issuperset(job.needs), job.name
        done.add(job.name)
    assert len(done) == len(jobs)


def test_each_place_has_one_job(jobs):
    counts = Counter(place for job in jobs for place in (*job.outputs, *job.byproducts))
    assert {path: n for path, n in counts.items() if n > 1} == {}
    assert all(job.outputs for job in jobs)


def test_each_file_that_is_read_is_made_by_a_job_that_is_needed(jobs):
    """The job is among the direct or indirect dependencies."""
    maker = {path: job.name for job in jobs for path in job.outputs}
    below = {}
    for job in jobs:
        below[job.name] = set(job.needs).union(*(below[need] for need in job.needs))
    n_read = 0
    for job in jobs:
        for word in json.dumps(job.work.model_dump(mode="json")).split('"'):
            path = word.removesuffix("/best.json")
            if path in maker and maker[path] != job.name:
                assert maker[path] in below[job.name], (job.name, path)
                n_read += 1
    assert n_read > len(jobs) / 2


def test_no_two_purposes_share_a_seed(study, jobs):
    made = [job.work.seed for job in jobs if job.kind in ("sample", "worms")]
    assert len(made) == len(set(made))
    trained = {}
    for job in jobs:
        if job.kind in ("train", "search"):
            section = job.name.split("/")[1].partition("-")[0]
            trained.setdefault(section, set()).add(job.work.seed)
    assert trained.keys() == study.tasks.keys()
    assert not set(made) & set().union(*trained.values())
    assert len({min(seeds) for seeds in trained.values()}) == len(trained)


def test_training_validation_and_test_come_from_different_chains(jobs):
    source = {job.work.output: job.work.source for job in jobs if job.kind == "worms"}
    tested = {work.models[0]: [file for file, _ in work.tests] for work in works(jobs, Evaluate)}
    sampled = {job.work.output: str(job.work) for job in jobs if job.kind == "sample"}
    assert len(set(sampled.values())) == len(sampled)
    for job in jobs:
        if job.kind in ("train", "search"):
            examples = job.work.examples
            files = (examples.training, examples.validation, tested.get(job.outputs[0], []))
            chains = [{source.get(file, file) for file in some} for some in files]
            assert set().union(*chains) <= set(sampled)
            assert len(set().union(*chains)) == sum(map(len, chains))


def test_each_instance_has_its_network_and_the_same_data(study, jobs):
    by_name = {job.name: job for job in jobs}
    trained = [job for job in jobs if job.kind == "train"]
    for job in trained:
        searches = [by_name[name].work for name in job.needs if by_name[name].kind == "search"]
        if not isinstance(job.work.network, str):
            assert not searches
            continue
        (search,) = searches
        assert job.work.network == f"{search.output}/best.json"
        assert (search.examples, search.architecture) == (job.work.examples, job.work.architecture)
    groups = Counter(job.group for job in trained)
    assert set(groups.values()) <= {section.instances for section in study.tasks.values()}
    assert sum(groups.values()) == len(trained)
    for work in works(jobs, Search):
        assert work.settings == study.tasks[work.section].search  # the same budget for all architectures


def test_every_figure_has_a_job(study, jobs):
    shown = [name for name, figure in FIGURES.items() if figure.shows(study)]
    assert [work.name for work in works(jobs, DrawFigure)] == shown
    assert set(FIGURES) - {"selection"} <= set(shown)
    assert jobs[-1].outputs == ("provenance.json", "report.html")


def test_a_study_draws_what_it_has_networks_for(quick):
    some = {name: {} for name in ("ST", "FL")}
    drawn = {work.name for work in works(plan(changed(quick, "regression", families=some)), DrawFigure)}
    assert set(FIGURES) - drawn == {"fig3", "selection"}


def test_the_tests_of_other_lattices_are_for_the_largest_training_set(quick):
    n_tests = {work.output: len(work.tests) for work in works(plan(quick), Evaluate)}
    assert n_tests["scores/regression-EQ-100.csv"] == 8
    assert n_tests["scores/regression-EQ-500.csv"] == 5 * 8
    assert n_tests["scores/zhou-Zhou-200.csv"] == 2


def redone(before, after):
    """Names of jobs that are new or have a different fingerprint."""
    old, new = fingerprints(plan(before)), fingerprints(plan(after))
    return {name for name in new if old.get(name) != new[name]}


SHOWN = {"metrics", "measurements", "model_cards", "claims", "report", *(f"figures/{name}" for name in FIGURES)}
SHOWN -= {"figures/selection"}  # not shown by quick


def test_a_setting_changes_its_job_and_all_that_builds_on_it(quick):
    recipe = quick.tasks["detection"].recipe.model_copy(update={"epochs": 7})
    found = redone(quick, changed(quick, "detection", recipe=recipe.model_dump()))
    assert SHOWN - {"figures/search"} == found & SHOWN  # it shows only the searches
    assert {name.split("/")[0] for name in found - SHOWN} == {"train", "evaluate"}
    assert all("detection" in name for name in found - SHOWN)


def test_with_another_number_of_instances_those_that_are_there_stay(quick):
    found = redone(quick, changed(quick, "detection", instances=5))
    variants = [f"detection-{name}-4000" for name in ("EQ", "ST", "FL")]
    assert {name for name in found if name.startswith("train")} == {
        f"train/{variant}/00{i}" for variant in variants for i in (3, 4)
    }
    assert {name for name in found if name.startswith("evaluate")} == {f"evaluate/{variant}" for variant in variants}
    assert {"metrics", "measurements", "model_cards"} < found


def test_other_data_change_all_that_builds_on_them(quick):
    found = redone(quick, changed(quick, "counting", n_training=[4010]))
    kinds = Counter(name.split("/")[0] for name in found)
    assert (kinds["search"], kinds["train"], kinds["evaluate"]) == (3, 9, 3)
    assert kinds["sample"] == kinds["worms"] > 0
    assert not any("regression" in name or "zhou" in name for name in found)


def test_the_seed_of_the_study_changes_all(quick):
    after = quick.model_copy(update={"seed": 2})
    assert redone(quick, after) == set(fingerprints(plan(after)))
    assert redone(quick, quick) == set()
    assert redone(quick, quick.model_copy(update={"name": "another"})) == set()


def test_fingerprints_see_every_part_of_a_job(quick):
    jobs = plan(quick)
    before, first = fingerprints(jobs), jobs[0]
    for change in ({"work": first.work.model_copy(update={"seed": 3})}, {"outputs": ("x",)}, {"work": jobs[-2].work}):
        after = fingerprints([replace(first, **change), *jobs[1:]])
        assert after[first.name] != before[first.name]
        assert after["report"] != before["report"]
    assert fingerprints([replace(first, weight=5.0), *jobs[1:]]) == before


def test_what_a_study_does_not_ask_for_leaves_no_trace():
    """What it does ask for does: here, pruning affects one section only."""
    paper = load_study("paper")
    settings = next(work for work in works(plan(paper), Search)).model_dump(mode="json")["settings"]
    assert set(settings) == {"space", "trials", "repeats", "n_training", "recipe", "elsewhere"}
    assert "elsewhere" not in paper.tasks["detection"].search.model_dump(mode="json")
    assert "learning_rates" not in settings["space"]
    search = paper.tasks["detection"].search.model_dump() | {"prune": True}
    found = redone(paper, changed(paper, "detection", search=search))
    assert {"search/detection-EQ", "train/detection-EQ-searched-16000/000"} < found
    assert "search/counting-EQ" not in found


def test_a_search_that_looks_elsewhere(quick):
    """A validation set of its own, as large as the first, and all tests on the training lattice."""
    after = elsewhere()
    before, jobs = ({job.name: job for job in plan(each)} for each in (quick, after))
    name = "sample/regression-elsewhere-60x4-eta4.01-lam1-mu0.97"
    assert jobs.keys() - before.keys() == {name, "figures/selection"}
    sampled, work = jobs[name].work, jobs["search/regression-EQ"].work
    assert sampled.n_configurations == 250 // 10
    assert sampled.seed not in {job.work.seed for job in before.values() if job.kind == "sample"}
    tests = jobs["evaluate/regression-EQ-100"].work.tests  # on the training lattice only
    assert work.observed == {"elsewhere": [(sampled.output, 25)], "test": tests}
    assert {job.outputs[0] for job in jobs.values() if job.name in jobs["search/regression-EQ"].needs} >= {
        file for group in work.observed.values() for file, _ in group
    }
    assert work.examples == before["search/regression-EQ"].work.examples
    assert not jobs["search/detection-EQ"].work.observed
    assert name not in jobs["train/regression-EQ-500/000"].needs
    found = redone(quick, after)
    assert {name for name in found if name.startswith("search")} == {
        f"search/regression-{name}" for name in ("EQ", "ST", "FL")
    }


def test_the_figure_of_a_search_that_looks_elsewhere_needs_that_search_alone(quick):
    jobs = {job.name: job for job in plan(elsewhere())}
    job = jobs["figures/selection"]
    assert job.needs == tuple(f"search/regression-{name}" for name in ("EQ", "ST", "FL"))
    assert job.work.searches == tuple(f"searches/regression-{name}" for name in ("EQ", "ST", "FL"))
    assert len(jobs["figures/search"].work.searches) == 9
    fixed = {name: {"networks": [FIXED]} for name in ("EQ", "ST", "FL")}
    names = {job.name for job in plan(changed(elsewhere(), "regression", families=fixed))}
    assert not any("elsewhere" in name or "selection" in name for name in names)


OWN = Figure("own", "", "", lambda study: True, OfSearches(lambda folders, sections: None, lambda section: False), len)
OF_COUNTING = replace(OWN, numbers=replace(OWN.numbers, shows=lambda section: section.task == "counting"))


def test_a_figure_of_searches_from_outside_needs_those_that_it_shows(quick, monkeypatch):
    found = {}
    for name, figure in (("OWN", OWN), ("OF_COUNTING", OF_COUNTING)):
        monkeypatch.setitem(FIGURES._points, "own", EntryPoint("own", f"{__name__}:{name}", "fluxeq.figures"))
        monkeypatch.setitem(FIGURES._found, "own", figure)
        found[name] = next(job for job in plan(quick) if job.name == "figures/own")
    assert found["OF_COUNTING"].needs == tuple(f"search/counting-{name}" for name in ("EQ", "ST", "FL"))
    assert "metrics" in found["OWN"].needs


@pytest.mark.parametrize(("name", "needed"), [("fig4", {"metrics"}), ("fig1", {"metrics", "measurements"})])
def test_a_figure_of_scores_needs_their_table_alone(jobs, name, needed):
    needs = next(job for job in jobs if job.name == f"figures/{name}").needs
    assert {need for need in needs if not need.startswith("reference")} == needed
    assert needs == ("metrics",) or "measurements" in needs


def test_the_instances_share_the_winners_of_several_searches(quick):
    before, after = (
        {job.name: job for job in plan(each)} for each in (quick, changed(quick, "regression", searches=2))
    )
    assert after["search/regression-EQ"] == before["search/regression-EQ"]
    assert after["search/regression-EQ-2"].work.seed != after["search/regression-EQ"].work.seed
    networks = [after[f"train/regression-EQ-500/00{i}"].work.network for i in range(3)]
    assert networks == [f"searches/regression-EQ{rest}/best.json" for rest in ("", "-2", "")]


FIXED = {"config": {"blocks": [{"channels": 2, "kernel": 2}]}}


def test_fixed_networks_take_the_place_of_a_search(quick):
    networks = [FIXED, FIXED | {"recipe": {"epochs": 3}}]
    families = {"EQ": {"networks": networks}, "ST": {}, "FL": {}}
    after = changed(quick, "regression", families=families)
    names, jobs = {job.name for job in plan(quick)}, {job.name: job for job in plan(after)}
    assert {name for name in names - jobs.keys() if "augmented" not in name} == {"search/regression-EQ"}
    trained = [jobs[f"train/regression-EQ-500/00{i}"] for i in range(3)]
    assert [job.work.network.model_dump() for job in trained] == [{"recipe": {}} | networks[i] for i in (0, 1, 0)]
    assert not any(need.startswith("search") for job in trained for need in job.needs)
    found = redone(quick, after)
    assert "train/regression-ST-500/000" not in found
    assert "train/regression-EQ-500/000" in found


def test_a_second_network_of_an_architecture_stands_beside_the_first(quick):
    families = {"EQ": {}, "other": {"architecture": "EQ"}, "fixed": {"architecture": "EQ", "networks": [FIXED]}}
    jobs = {job.name: job for job in plan(changed(quick, "regression", families=families))}
    assert [name for name in jobs if name.startswith("search/regression")] == ["search/regression-EQ"]
    assert jobs["train/regression-other-500/000"].work.network == jobs["train/regression-EQ-500/000"].work.network
    assert jobs["evaluate/regression-fixed-500"].work.family == "fixed"


def test_a_function_is_scored_and_not_trained(quick):
    families = {"torch": {"function": "somewhere:predict"}}
    jobs = {job.name: job for job in plan(changed(quick, "regression", families=families, search=None))}
    assert not any(name.startswith(("train/regression", "search/regression")) for name in jobs)
    work = jobs["evaluate/regression-torch"].work
    assert (work.models, work.function, len(work.tests)) == ((), "somewhere:predict", 40)


def test_a_part_of_a_study_is_what_the_scores_of_a_section_need(study, jobs):
    below = {job.name for job in jobs if job.kind in ("sample", "worms", "search", "train", "evaluate", "reference")}
    assert part(jobs, []) == jobs
    names = {}
    for section in study.tasks:
        chosen = part(jobs, [section])
        names[section] = {job.name for job in chosen}
        assert [job for job in jobs if job.name in names[section]] == chosen
        assert all(names[section].issuperset(job.needs) for job in chosen)
        assert {work.section for work in works(chosen, (Search, Evaluate))} == {section}
        assert len(works(chosen, Train)) == sum(job.name.startswith(f"train/{section}-") for job in jobs)
    assert not any("worms" in name for name in names["regression"])
    assert {job.name for job in part(jobs, study.tasks)} == below == set().union(*names.values())


def test_the_order_of_the_work():
    """Scores as soon as possible, then data, searches, the largest training sets, and small ones."""
    weight = {job.name.removesuffix("/000"): job.weight for job in plan(load_study("laptop"))}
    ordered = [
        "evaluate/regression-FL-100",
        "worms/counting-test-8x8-eta4.01-lam1-mu1-open",
        "search/counting-FL",
        "train/regression-EQ-8000",
        "train/regression-FL-augmented-100",
        "train/regression-EQ-100",
        "train/regression-EQ-2000",
        "sample/regression-reference-60x4-eta4.01-lam1-mu1",
    ]
    assert sorted(ordered, key=lambda name: -weight[name]) == ordered
    assert weight["train/regression-FL-augmented-100"] > weight["train/regression-EQ-100"]
    for equal in ("regression-FL-augmented-8000", "counting-FL-16000", "zhou-Zhou-1000"):
        assert weight[f"train/{equal}"] == weight["train/regression-EQ-8000"]
    assert [name for name in weight if name.startswith("train")][-2] == "train/zhou-Zhou-1000"


def test_measurements_wait_for_what_they_measure_alone(quick):
    """Neither small nor augmented training sets, which come later."""
    jobs = {job.name: job for job in plan(quick)}
    needs = jobs["measurements"].needs
    trained = {"regression": 500, "detection": 4000, "counting": 4000}
    expected = {f"train/{name}-{each}-{n}" for name, n in trained.items() for each in ("EQ", "ST", "FL")}
    assert {jobs[need].group for need in needs if jobs[need].group} == expected | {"train/zhou-Zhou-200"}
    assert {need.split("/")[0] for need in needs} == {"train", "sample", "worms"}
    assert jobs["measurements"].weight > jobs["train/regression-EQ-100/000"].weight
