"""The jobs of a study: their order, their fingerprints, and that nothing meant to be independent shares a seed."""

import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest

from fluxeq.errors import InputError
from fluxeq.runs.plan import FIGURES, digests, figures, part, plan
from fluxeq.study.study import SHIPPED, TASK_NAMES, load_study, study_text


@pytest.fixture(scope="module", params=SHIPPED)
def jobs(request):
    return plan(load_study(request.param))


@pytest.fixture(scope="module")
def quick():
    return load_study("quick")


def test_each_job_comes_after_what_it_needs(jobs):
    done = set()
    for job in jobs:
        assert done.issuperset(job.needs), job.name
        done.add(job.name)
    assert len(done) == len(jobs)


def test_each_output_has_one_job(jobs):
    counts = Counter(output for job in jobs for output in job.outputs)
    assert {path: n for path, n in counts.items() if n > 1} == {}
    assert all(job.outputs for job in jobs)


def test_each_file_that_is_read_is_made_by_a_job_that_is_needed(jobs):
    """Of what a job builds on, directly or not."""
    maker = {path: job.name for job in jobs for path in (*job.outputs, *job.places)}
    below = {}
    for job in jobs:
        below[job.name] = set(job.needs).union(*(below[need] for need in job.needs))
    n_read = 0
    for job in jobs:
        for path in paths_in(job.settings):
            if path in maker and maker[path] != job.name:
                assert maker[path] in below[job.name], (job.name, path)
                n_read += 1
    assert n_read > len(jobs) / 2


def paths_in(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [path for item in value for path in paths_in(item)]
    return [value.removesuffix("/best.json")] if isinstance(value, str) else []


def test_no_two_purposes_share_a_seed(jobs):
    made = [job.settings["seed"] for job in jobs if job.kind in ("sample", "worms")]
    assert len(made) == len(set(made))
    trained = {job.settings["task"]: set() for job in jobs if job.kind == "train"}
    for job in jobs:
        if job.kind in ("train", "search"):
            trained[job.settings["task"]].add(job.settings["seed"])
    assert not set(made) & set().union(*trained.values())
    assert len({min(seeds) for seeds in trained.values()}) == len(trained)


def chains_of(jobs, paths):
    """The ensembles of closed configurations behind some files."""
    source = {job.settings["output"]: job.settings["source"] for job in jobs if job.kind == "worms"}
    return {source.get(path, path) for path in paths}


def test_training_validation_and_test_come_from_different_chains(jobs):
    tested = {
        job.settings["models"][0]: [test[0] for test in job.settings["tests"]] for job in jobs if job.kind == "evaluate"
    }
    sampled = {job.settings["output"]: str(job.settings) for job in jobs if job.kind == "sample"}
    assert len(set(sampled.values())) == len(sampled)
    n = 0
    for job in jobs:
        if job.kind in ("train", "search"):
            groups = [chains_of(jobs, job.settings[purpose]) for purpose in ("training", "validation")]
            groups.append(chains_of(jobs, tested.get(job.outputs[0], [])))
            assert all(path in sampled for group in groups for path in group)
            assert len(set().union(*groups)) == sum(map(len, groups))
            n += 1
    assert n == sum(job.kind == "search" for job in jobs) + len(tested)


def test_each_training_has_its_search_its_test_and_the_same_data(jobs):
    by_name = {job.name: job for job in jobs}
    searched = [job for job in jobs if job.kind == "train" and "winners" in job.settings]
    for job in searched:
        searches = [by_name[name] for name in job.needs if by_name[name].kind == "search"]
        assert job.settings["winners"] == [f"{search.outputs[0]}/best.json" for search in searches]
        for search in searches:
            assert all(search.settings[key] == job.settings[key] for key in ("task", "architecture", "training"))
        assert len({search.settings["seed"] for search in searches}) == len(searches) >= 1
    assert {(job.settings["task"], job.settings["architecture"]) for job in searched} == {
        (task, name) for task in ("regression", "detection", "counting") for name in ("EQ", "ST", "FL")
    }
    budgets = {str({**job.settings["search"], "space": None}) for job in jobs if job.kind == "search"}
    assert len(budgets) <= 3  # one a task: the same for all of its architectures


def test_every_figure_has_a_job(jobs):
    assert [job.settings["name"] for job in jobs if job.kind == "figure"] == list(FIGURES)
    assert jobs[-1].outputs == ("provenance.json", "report.html")


def changed_jobs(before, after):
    """Names of the jobs whose fingerprint is another one, or that are new."""
    old, new = digests(plan(before)), digests(plan(after))
    return {name for name in new if old.get(name) != new[name]}


def test_a_setting_changes_its_job_and_all_that_builds_on_it(quick):
    recipe = quick.detection.recipe.model_copy(update={"epochs": 7})
    detection = quick.detection.model_copy(update={"recipe": recipe})
    changed = changed_jobs(quick, quick.model_copy(update={"detection": detection}))
    above = {"metrics", "measurements", "winners", "claims", "report", *(f"figures/{name}" for name in FIGURES)}
    assert above < changed
    assert {name.split("/")[0] for name in changed - above} == {"train", "evaluate"}
    assert all("detection" in name for name in changed - above)


def test_with_another_number_of_instances_the_trainings_stay(quick):
    """Only scores and what builds on them are of all instances, by name."""
    detection = quick.detection.model_copy(update={"instances": 5})
    after = quick.model_copy(update={"detection": detection})
    changed = changed_jobs(quick, after)
    assert {name for name in changed if name.startswith(("evaluate", "train"))} == {
        f"evaluate/detection-{name}-4000" for name in ("EQ", "ST", "FL")
    }
    assert {"metrics", "measurements", "winners"} < changed
    (training,) = (job for job in plan(after) if job.name == "train/detection-ST-4000")
    assert training.outputs == tuple(f"models/detection-ST-4000/ST-00{i}.safetensors" for i in range(5))
    assert training.places == ("models/detection-ST-4000",)


def test_other_data_change_all_that_builds_on_them(quick):
    counting = quick.counting.model_copy(update={"configurations": quick.counting.configurations + 10})
    changed = changed_jobs(quick, quick.model_copy(update={"counting": counting}))
    kinds = Counter(name.split("/")[0] for name in changed)
    assert kinds["search"] == kinds["train"] == kinds["evaluate"] == 3
    assert kinds["sample"] == kinds["worms"] > 0
    assert not any("regression" in name or "zhou" in name for name in changed)


def test_the_seed_of_the_study_changes_all(quick):
    after = quick.model_copy(update={"seed": 2})
    assert changed_jobs(quick, after) == set(digests(plan(after)))
    assert changed_jobs(quick, quick) == set()
    assert changed_jobs(quick, quick.model_copy(update={"name": "another"})) == set()


@pytest.mark.parametrize(("n_instances", "sizes"), [(None, None), (1, [1, 1, 1]), (2, [2, 1]), (3, [3]), (9, [3])])
def test_a_training_is_done_in_parts_and_anything_else_is_not(quick, n_instances, sizes):
    for job in plan(quick):
        parts = job.parts(n_instances)
        if job.kind == "train" and n_instances and job.name != "train/zhou":
            assert [instance for part in parts for instance in part["instances"]] == [0, 1, 2]
            assert [len(part["instances"]) for part in parts] == sizes
            assert all({**part, "instances": None} == {**job.settings, "instances": None} for part in parts)
        elif job.kind != "train":
            assert parts == [job.settings]
        else:
            assert len(parts) == 1


def test_digests_see_every_part_of_a_job(quick):
    jobs = plan(quick)
    before, last = digests(jobs), jobs[0]
    for change in ({"kind": "other"}, {"settings": {}}, {"outputs": ("x",)}):
        after = digests([replace(last, **change), *jobs[1:]])
        assert after[last.name] != before[last.name]
        assert after["report"] != before["report"]
    assert digests([replace(last, weight=5.0), *jobs[1:]]) == before


def test_a_misspelled_key_is_what_the_error_names(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(study_text("quick").replace("seed = 1", "seeds = 1", 1))
    with pytest.raises(InputError, match="seeds is unknown; did you mean seed"):
        load_study(path)


def test_fingerprints_of_searches_and_trainings_from_before_there_was_pruning():
    """What a study does not ask for leaves no trace; what it asks for does."""
    laptop = load_study("laptop")
    settings = {job.name: job.settings for job in plan(laptop)}["search/detection-EQ"]["search"]
    assert set(settings) == {"space", "trials", "repeats", "n_training", "recipe"}
    assert "learning_rates" not in settings["space"]
    search = laptop.detection.search.model_copy(update={"prune": True})
    changed = changed_jobs(
        laptop, laptop.model_copy(update={"detection": laptop.detection.model_copy(update={"search": search})})
    )
    assert {"search/detection-EQ", "train/detection-EQ-16000"} < changed
    assert "search/counting-EQ" not in changed


def test_the_instances_share_the_winners_of_several_searches(quick):
    regression = quick.regression.model_copy(update={"searches": 2})
    jobs = plan(quick.model_copy(update={"regression": regression}))
    searches = [job for job in jobs if job.name in ("search/regression-EQ", "search/regression-EQ-2")]
    before = {job.name: job for job in plan(quick)}
    assert searches[0] == before["search/regression-EQ"]
    assert searches[1].settings["seed"] != searches[0].settings["seed"]
    winners = ["searches/regression-EQ/best.json", "searches/regression-EQ-2/best.json"]
    assert {tuple(job.settings["winners"]) for job in jobs if job.name.startswith("train/regression-EQ")} == {
        (*winners,)
    }


GIVEN = {"config": {"blocks": [{"channels": 2, "kernel": 2}]}}


def with_networks(study, task, **networks):
    """The study with given networks, validated."""
    settings = study.model_dump()
    settings[task]["networks"] = networks
    return type(study).model_validate(settings)


def test_given_networks_take_the_place_of_a_search(quick):
    before, after = plan(quick), plan(with_networks(quick, "regression", EQ=[GIVEN, GIVEN | {"recipe": {"epochs": 3}}]))
    assert {job.name for job in before} - {job.name for job in after} == {"search/regression-EQ"}
    training = {job.name: job for job in after}["train/regression-EQ-500"]
    assert training.settings["networks"] == [{**GIVEN, "recipe": {}}, {**GIVEN, "recipe": {"epochs": 3}}]
    assert "winners" not in training.settings
    assert not any(need.startswith("search") for need in training.needs)
    old, new = digests(before), digests(after)
    assert old["train/regression-ST-500"] == new["train/regression-ST-500"]
    assert old["train/regression-EQ-500"] != new["train/regression-EQ-500"]


def test_a_study_without_any_search_draws_none(quick):
    study = quick
    for task in TASK_NAMES:
        assert figures(study) == FIGURES
        study = with_networks(study, task, EQ=[GIVEN], ST=[STRIDED], FL=[GIVEN])
    assert not any(job.kind == "search" for job in plan(study))
    assert figures(study) == tuple(job.settings["name"] for job in plan(study) if job.kind == "figure")
    assert set(FIGURES) - set(figures(study)) == {"search"}


def test_a_study_without_given_networks_is_read_without_loading_jax():
    code = "import sys; from fluxeq.study.study import load_study; load_study('paper'); print('jax' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"


STRIDED = {"config": {"blocks": [{"channels": 2, "kernel": 2, "stride": 2}]}}
REFUSED = {
    r"networks\.XY: give networks of the architectures of the task \(EQ, ST, FL\)": {"XY": [GIVEN]},
    r"networks\.EQ: 1 to 3 are needed": {"EQ": []},
    r"networks\.EQ: 1 to 3 are needed, at most one an instance": {"EQ": [GIVEN] * 4},
    r"EQ blocks\.0\.kernel = 0": {"EQ": [{"config": {"blocks": [{"channels": 2, "kernel": 0}]}}]},
    r"networks\.ST\.recipe\.epoch": {"ST": [STRIDED | {"recipe": {"epoch": 3}}]},
}


@pytest.mark.parametrize(("message", "networks"), REFUSED.items(), ids=range(len(REFUSED)))
def test_networks_that_cannot_be_trained(quick, message, networks):
    with pytest.raises(ValueError, match=message):
        with_networks(quick, "regression", **networks)


def test_a_part_of_a_study_is_what_the_scores_of_a_task_need(jobs):
    below = {job.name for job in jobs if job.kind in ("sample", "worms", "search", "train", "evaluate")}
    assert part(jobs, []) == jobs
    found = {task: part(jobs, [task]) for task in TASK_NAMES}
    names = {task: {job.name for job in chosen} for task, chosen in found.items()}
    for task, chosen in found.items():
        assert [job for job in jobs if job.name in names[task]] == chosen
        assert all(names[task].issuperset(job.needs) for job in chosen)
        assert {job.settings["task"] for job in chosen if job.kind in ("search", "train")} == {task}
    assert not any(job.kind == "worms" for job in found["regression"])
    assert "evaluate/zhou" in names["regression"]
    assert {job.name for job in part(jobs, TASK_NAMES)} == below == set().union(*names.values())


def test_the_order_of_the_work(quick):
    """Scores as soon as they can be had, then data, searches, the largest training sets, and small ones."""
    weight = {job.name: job.weight for job in plan(load_study("laptop"))}
    ordered = [
        "evaluate/regression-FL-100",
        "worms/counting-test-lam1-8x8-eta4.01-mu1",
        "search/counting-FL",
        "train/regression-EQ-5000",
        "train/regression-FL-augmented-100",
        "train/regression-EQ-100",
        "train/regression-EQ-2000",
        "metrics",
    ]
    assert sorted(ordered[:-1], key=lambda name: -weight[name]) == ordered[:-1]
    assert weight["train/regression-FL-augmented-100"] > weight["train/regression-EQ-100"]
    assert weight["train/regression-FL-augmented-5000"] == weight["train/regression-EQ-5000"]
    assert weight["train/counting-FL-16000"] == weight["train/regression-EQ-5000"]
    assert weight["train/regression-EQ-1000"] > weight["train/zhou"]


def test_measurements_wait_for_what_they_measure_alone(quick):
    """Neither for small training sets nor for augmented ones, and come before these."""
    jobs = {job.name: job for job in plan(quick)}
    needs = set(jobs["measurements"].needs)
    trained = {f"train/{name}-{n}" for name, n in (("regression", 500), ("detection", 4000), ("counting", 4000))}
    assert {need for need in needs if need.startswith("train/")} == {
        name.replace("-", f"-{architecture}-") for name in trained for architecture in ("EQ", "ST", "FL")
    }
    assert {need.split("/")[0] for need in needs} == {"train", "sample", "worms"}
    assert jobs["measurements"].weight > jobs["train/regression-EQ-250"].weight


def test_a_winner_that_no_instance_would_have(quick):
    settings = quick.model_dump() | {"regression": quick.regression.model_dump() | {"searches": 4}}
    with pytest.raises(ValueError, match=r"searches = 4: at most the instances \(3\), one a winner"):
        type(quick).model_validate(settings)
