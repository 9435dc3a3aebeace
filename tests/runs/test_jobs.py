"""Copies of one job, and parts of one: who waits for whom."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import small_ensembles
from fluxeq.analysis.metrics import score_table
from fluxeq.errors import InputError
from fluxeq.runs import jobs
from fluxeq.system.files import write_json
from fluxeq.training.models import describe


@pytest.fixture
def record(tmp_path):
    path = tmp_path / "train.a.json"
    write_json(path, {"fingerprint": "f", "done": False})
    return path


@pytest.mark.parametrize(("parts", "at_once"), [(([0], [0]), 1), (([0], [1]), 2)], ids=["copies", "parts"])
def test_copies_wait_for_each_other_and_parts_do_not(record, tmp_path, monkeypatch, parts, at_once):
    """Two of them are given away; how many work at the same time."""
    working, seen = [], []

    def train(run, instances):
        working.append(instances)
        deadline = time.monotonic() + 0.5
        while len(working) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        seen.append(len(working))
        working.remove(instances)

    monkeypatch.setitem(jobs.KINDS, "train", train)
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(jobs.work, tmp_path, "train", {"instances": part}, "f", record) for part in parts]
        assert [future.result() for future in futures] == [None, None]
    assert (len(seen), max(seen)) == (2, at_once)


def test_a_job_that_has_got_other_settings_meanwhile(record, tmp_path, monkeypatch):
    monkeypatch.setitem(jobs.KINDS, "train", lambda run: pytest.fail("it worked"))
    with pytest.raises(InputError, match="has got other settings meanwhile"):
        jobs.work(tmp_path, "train", {}, "of an earlier start", record)


@pytest.mark.parametrize("source", ["winners", "networks"])
def test_instances_take_their_networks_in_turn(tmp_path, source):
    """With what each wants of the recipe, also in parts; each is tested on the lattices that its own strides divide."""
    made = {"training": small_ensembles.closed(1), "validation": small_ensembles.closed(2)}
    files = small_ensembles.save(tmp_path, made | {"test": small_ensembles.closed(3, shape=(6, 4))})
    networks = [{"config": {"blocks": [{"channels": 2, "kernel": 1, "stride": stride}]}} for stride in (2, 4)]
    networks[1]["recipe"] = {"learning_rate": 0.5}
    winners = [f"{i}.json" for i in range(len(networks))]
    for winner, network in zip(winners, networks, strict=True):
        write_json(tmp_path / winner, network)
    settings = {"task": "regression", "training": [files["training"].name], "validation": [files["validation"].name]}
    settings |= {"seed": 1, "architecture": "ST", "augmentation": False, "n_training": 10}
    settings[source] = {"winners": winners, "networks": networks}[source]
    settings |= {"recipe": {"epochs": 1}, "output": "models"}
    for part in ([0, 1], [2]):
        jobs.train(tmp_path, **settings, instances=part)
    models = sorted((tmp_path / "models").glob("*.safetensors"))
    found = [describe(path) for path in models]
    assert [about.config["blocks"][0]["stride"] for about in found] == [2, 4, 2]
    assert [about.recipe.learning_rate for about in found] == [0.01, 0.5, 0.01]
    table = score_table(tmp_path, "study", models, [(files["test"].name, (6, 4))])
    assert list(table["instance"]) == [0, 2]
