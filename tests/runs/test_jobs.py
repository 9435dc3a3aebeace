"""The works of a run, apart from whole runs."""

import small_ensembles
from fluxeq.runs.jobs import Examples, Search, Train
from fluxeq.study.family import FixedNetwork
from fluxeq.study.section import SearchSettings
from fluxeq.system.files import read_json, write_json
from fluxeq.training.models import describe


def test_instances_take_their_networks(tmp_path):
    """Winners and fixed networks in one batch, each with its own changes to the recipe."""
    made = {"training": small_ensembles.closed(1), "validation": small_ensembles.closed(2)}
    files = small_ensembles.save(tmp_path, made)
    networks = [FixedNetwork(config={"blocks": [{"channels": 2, "kernel": 1, "stride": stride}]}) for stride in (2, 4)]
    networks[1] = networks[1].model_copy(update={"recipe": {"learning_rate": 0.5}})
    write_json(tmp_path / "best.json", networks[1].model_dump())
    examples = Examples(task="regression", training=(files["training"].name,), validation=(files["validation"].name,))
    common = {"examples": examples, "n_training": 10, "architecture": "ST", "augmentation": False, "seed": 1}
    common |= {"recipe": {"epochs": 1}, "output": "models"}
    works = [Train(**common, network=network, instance=i) for i, network in enumerate((networks[0], "best.json"))]
    works.append(Train(**common, network=networks[0], instance=2))
    Train.run_many(works, tmp_path)
    found = [describe(tmp_path / work.model) for work in works]
    assert [about.instance for about in found] == [0, 1, 2]
    assert [about.config["blocks"][0]["stride"] for about in found] == [2, 4, 2]
    assert [about.recipe.learning_rate for about in found] == [0.01, 0.5, 0.01]
    written = {path.name for path in (tmp_path / "models").iterdir()}
    places = {place.removeprefix("models/") for work in works for place in (work.model, *work.byproducts)}
    assert {name for name in places if not name.endswith(".checkpoint")} == written


def test_what_another_family_has_trained_is_copied(tmp_path):
    """If a search finds the fixed network of that family; nothing else is taken for the same."""
    made = {"training": small_ensembles.closed(1), "validation": small_ensembles.closed(2)}
    files = small_ensembles.save(tmp_path, made)
    examples = Examples(task="regression", training=(files["training"].name,), validation=(files["validation"].name,))
    fixed = FixedNetwork(config={"blocks": [{"channels": 2, "kernel": 1}]})
    found = {"config": {"blocks": [{"channels": 2, "kernel": 1, "pooling": 1}]}}  # names a default
    write_json(tmp_path / "best.json", fixed.model_dump() | found)
    common = {"examples": examples, "n_training": 10, "architecture": "EQ", "augmentation": False, "seed": 1}
    common |= {"recipe": {"epochs": 1}, "instance": 0}
    Train(**common, network=fixed, output="models/fixed").run(tmp_path)
    changes = {"same": {}, "seed": {"seed": 2}, "n": {"n_training": 12}, "augmented": {"augmentation": True}}
    changes["recipe"] = {"recipe": {"epochs": 2}}
    trained = {}
    for name, change in changes.items():
        work, reached = Train(**common | change, network="best.json", output=f"models/{name}"), []
        Train.run_many([work], tmp_path, reached.append)
        trained[name] = bool(reached)
    assert trained == {name: name != "same" for name in changes}
    kept = [sorted((tmp_path / "models" / name).iterdir()) for name in ("fixed", "same")]
    assert [path.name for path in kept[0]] == ["EQ-000.csv", "EQ-000.safetensors"]
    assert [path.read_bytes() for path in kept[0]] == [path.read_bytes() for path in kept[1]]

    damaged = tmp_path / "models" / "fixed" / "EQ-000.safetensors"
    intact = damaged.read_bytes()
    damaged.write_bytes(intact[:-1] + bytes([intact[-1] ^ 1]))  # in a weight
    kept[1][1].unlink()
    again = Train(**common, network="best.json", output="models/again")
    again.run(tmp_path)
    assert (tmp_path / again.model).read_bytes() == intact  # trained again


def test_a_search_is_scored_on_what_it_observes(tmp_path):
    """Its result is the same without."""
    made = {str(i): small_ensembles.closed(i, n, mu=mu) for i, n, mu in ((1, 40, 1.5), (2, 40, 1.5), (3, 12, 1.0))}
    files = {name: path.name for name, path in small_ensembles.save(tmp_path, made).items()}
    space = {"layers": (1, 1), "kernels": (1, 2), "channels": (2,), "dense_layers": (0, 0)}
    asked = {"trials": 2, "repeats": 2, "n_training": 20, "recipe": {"epochs": 1}, "space": space}
    common = {
        **{"section": "a", "architecture": "EQ", "seed": 1, "settings": SearchSettings(**asked)},
        "examples": Examples(task="regression", training=(files["1"],), validation=(files["2"],)),
    }
    observed = {"elsewhere": [(files["3"], 5)], "test": [(files["3"], 5), (files["3"], 12)]}
    works = [Search(**common, output="without"), Search(**common, output="with", observed=observed)]
    for work in works:
        work.run(tmp_path)
    without, found = (read_json(tmp_path / work.output / "trials.json") for work in works)
    seen = [trial.pop("observed") for trial in found]
    assert found == without
    assert all({name: len(means) for name, means in each.items()} == {"elsewhere": 2, "test": 2} for each in seen)
    assert all(each["elsewhere"] != each["test"] for each in seen)
    assert "observed" not in works[0].model_dump()
