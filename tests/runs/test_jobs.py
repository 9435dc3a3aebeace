"""What the works of a run do, beside whole runs."""

import small_ensembles
from fluxeq.runs.jobs import Examples, Train
from fluxeq.study.family import FixedNetwork
from fluxeq.system.files import write_json
from fluxeq.training.models import describe


def test_instances_take_their_networks(tmp_path):
    """Winners and fixed ones in one batch, with what each wants of the recipe."""
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
