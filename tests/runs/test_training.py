"""Instances in parallel processes: the same as in one process, and stopped without leftovers."""

import re

import pytest

import small_ensembles
from fluxeq.errors import DivergedError, InputError
from fluxeq.runs import training as module
from fluxeq.runs.jobs import Examples, Train
from fluxeq.runs.training import train_files
from fluxeq.study.family import FixedNetwork
from fluxeq.training.epoch import Reached
from fluxeq.training.recipe import Recipe

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors

NETWORK = FixedNetwork(config={"blocks": [{"channels": 2, "kernel": 2}]})


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    ensembles = {"training": small_ensembles.closed(1), "validation": small_ensembles.closed(2, n=12)}
    found = small_ensembles.save(tmp_path_factory.mktemp("inputs"), ensembles)
    return Examples(task="regression", training=(str(found["training"]),), validation=(str(found["validation"]),))


def train(examples, output, n_workers, seen=None, **changes):
    """Three instances of a small network."""
    recipe = Recipe(**{"epochs": 50, "patience": 2, "learning_rate": 0.3, "levenberg_marquardt": 1} | changes)
    shared = {"examples": examples, "architecture": "EQ", "network": NETWORK, "recipe": recipe, "augmentation": False}
    works = [Train(**shared, seed=1, instance=instance, output=str(output)) for instance in range(3)]
    note = (lambda *told: seen.append(told)) if seen is not None else lambda *told: None
    return train_files(works, n_workers, note)


def test_whichever_process_trains_them(examples, tmp_path):
    seen = []
    paths = train(examples, tmp_path / "two", 2, seen)
    assert [path.name for path in paths] == ["EQ-000.safetensors", "EQ-001.safetensors", "EQ-002.safetensors"]
    assert {told[:2] for told in seen} - {(0, 3)} == {(1, 3), (2, 3), (3, 3)}
    alone = train(examples, tmp_path / "one", 1)
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in alone]
    assert {path.suffix for path in (tmp_path / "two").iterdir()} == {".csv", ".safetensors"}
    before = [path.stat().st_mtime_ns for path in paths]
    assert train(examples, tmp_path / "two", 2) == paths
    assert [path.stat().st_mtime_ns for path in paths] == before

    half = tmp_path / "two" / ".EQ-001.0a1b2c3d.unfinished.safetensors"
    half.touch()  # as left by a process that was killed while writing
    with pytest.raises(InputError, match=r"EQ-00[012]\.safetensors: trained with recipe = .*; choose another output"):
        train(examples, tmp_path / "two", 2, epochs=4)
    assert not half.exists()


def test_others_are_trained_before_it_is_said_that_one_diverged(examples, tmp_path):
    seen = []
    with pytest.raises(DivergedError, match=r"EQ-00[012]: .* \(and 2 other instances\)"):
        train(examples, tmp_path, 2, seen, epochs=2, learning_rate=1e30)
    assert seen[-1] == (3, 3, "")


def test_losses_are_told_while_they_are_trained(examples, tmp_path, monkeypatch):
    """By the processes, now and then; no temporary files are left."""
    monkeypatch.setattr(module, "TOLD", 0.1)
    seen = []
    train(examples, tmp_path, 2, seen, epochs=5000, patience=5000, learning_rate=1e-3, levenberg_marquardt=0)
    told = {remark for _, _, remark in seen if remark}
    assert any(
        re.fullmatch(r"validation loss \S+, training \S+|validation loss .* of 2 trainings", said) for said in told
    )
    assert {path.suffix for path in tmp_path.iterdir()} == {".csv", ".safetensors"}


def test_losses_in_words():
    one, other = Reached(3, 0.25, 0.5), Reached(2, 0.125, 0.75)
    assert module.in_words([one]) == "validation loss 5.0e-01, training 2.5e-01"
    assert module.in_words([other, one]) == "validation loss 5.0e-01 to 7.5e-01 of 2 trainings"
    assert module.in_words([]) == ""
