"""Instances in processes side by side: as one process trains them, and stopped with nothing left behind."""

import pytest

import small_ensembles
from fluxeq.errors import DivergedError, InputError
from fluxeq.runs.jobs import Examples
from fluxeq.runs.training import train_files
from fluxeq.study.family import FixedNetwork
from fluxeq.training.recipe import Recipe

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    ensembles = {"training": small_ensembles.closed(1), "validation": small_ensembles.closed(2, n=12)}
    found = small_ensembles.save(tmp_path_factory.mktemp("inputs"), ensembles)
    return Examples(task="regression", training=(str(found["training"]),), validation=(str(found["validation"]),))


def train(examples, output, n_workers, seen=None, **changes):
    """Three instances of a tiny network."""
    network = FixedNetwork(config={"blocks": [{"channels": 2, "kernel": 2}]})
    recipe = Recipe(**{"epochs": 50, "patience": 2, "learning_rate": 0.3, "levenberg_marquardt": 1} | changes)
    note = (lambda *told: seen.append(told)) if seen is not None else lambda *told: None
    return train_files(examples, "EQ", network, recipe, False, 3, 1, output, n_workers, note)


def test_whichever_process_trains_them(examples, tmp_path):
    seen = []
    paths = train(examples, tmp_path / "two", 2, seen)
    assert [path.name for path in paths] == ["EQ-000.safetensors", "EQ-001.safetensors", "EQ-002.safetensors"]
    assert [told[:2] for told in seen] == [(1, 3), (2, 3), (3, 3)]
    assert {told[2] for told in seen} == {"EQ-000", "EQ-001", "EQ-002"}
    alone = train(examples, tmp_path / "one", 1)
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in alone]
    assert {path.suffix for path in (tmp_path / "two").iterdir()} == {".csv", ".safetensors"}
    before = [path.stat().st_mtime_ns for path in paths]
    assert train(examples, tmp_path / "two", 2) == paths
    assert [path.stat().st_mtime_ns for path in paths] == before

    half = tmp_path / "two" / ".EQ-001.0a1b2c3d.unfinished.safetensors"
    half.touch()  # as from a process that was killed while it wrote
    with pytest.raises(InputError, match=r"EQ-00[012]\.safetensors: trained with recipe = .*; choose another output"):
        train(examples, tmp_path / "two", 2, epochs=4)
    assert not half.exists()


def test_others_are_trained_before_it_is_said_that_one_diverged(examples, tmp_path):
    seen = []
    with pytest.raises(DivergedError, match=r"EQ-00[012]: .* \(and 2 other instances\)"):
        train(examples, tmp_path, 2, seen, epochs=2, learning_rate=1e30)
    assert len(seen) == 3
