"""Trainings stopped at any point resume to bitwise identical weights."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

import small_ensembles
from fluxeq.errors import InputError
from fluxeq.nets.architecture import configured
from fluxeq.system import files
from fluxeq.training import checkpoints as module
from fluxeq.training import fit, instances, levenberg_marquardt
from fluxeq.training.batched import Batched
from fluxeq.training.checkpoints import Checkpoint
from fluxeq.training.fit import Trainer
from fluxeq.training.instances import Series, train_instances
from fluxeq.training.recipe import Recipe
from fluxeq.training.tensors import read_tensors, save_tensors

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors

SETTINGS = {"blocks": [{"channels": 3, "kernel": 2}]}
RECIPE = {"epochs": 6, "learning_rate": 1e-2, "batch_size": 8, "levenberg_marquardt": 4}


@pytest.fixture(scope="module")
def trainer():
    config = configured("EQ", SETTINGS, small_ensembles.SHAPE)
    return Trainer(small_ensembles.data("regression"), config, Recipe(**RECIPE), augmentation=True)


class StoppedError(Exception):
    pass


def to_its_end(trainer, training, *watch):
    return dict(trainer.trained({1: training}, *watch))[1]


def bits(training):
    """The complete state of a training, as bytes."""
    state = training.state._replace(key=jax.random.key_data(training.state.key))
    return (
        [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state)],
        training.losses,
        training.n_levenberg_marquardt,
        [np.asarray(part).tobytes() for part in (training.levenberg_marquardt or ())[:4]],
    )


def require_the_same_wherever_it_is_stopped(trainer, folder):
    """Stop at every epoch and step; returns the uninterrupted training."""
    in_peace = to_its_end(trainer, trainer.begin(1))
    assert (in_peace.n_epochs, in_peace.n_levenberg_marquardt) == (6, 4)
    for k in range(1, 10):
        checkpoint = Checkpoint(folder / f"{k}.checkpoint", {1: "one"})

        def watch(reached, trainings, k=k, checkpoint=checkpoint):
            if reached[1].n == k:
                checkpoint.write(trainings())
                raise StoppedError

        with pytest.raises(StoppedError):
            to_its_end(trainer, trainer.begin(1), watch)
        found = Checkpoint(checkpoint.path, {1: "one"}).read(trainer.begin(1).state)[1]
        assert len(found.losses) == k
        assert bits(to_its_end(trainer, found)) == bits(in_peace)
    return in_peace


def test_stopped_at_any_epoch_or_step_of_levenberg_marquardt(trainer, tmp_path):
    in_peace = require_the_same_wherever_it_is_stopped(trainer, tmp_path)
    assert bits(to_its_end(trainer, trainer.begin(2))) != bits(in_peace)


@pytest.mark.parametrize("augmentation", [False, True])
def test_stopped_while_the_steps_see_more_and_more_configurations(tmp_path, monkeypatch, augmentation):
    monkeypatch.setattr(levenberg_marquardt, "FIRST", 1)
    monkeypatch.setattr(fit, "USED_UP", 0.0)
    config, seen = configured("EQ", {"blocks": [{"channels": 1, "kernel": 2}]}, small_ensembles.SHAPE), []
    trainer = Trainer(small_ensembles.data("regression"), config, Recipe(**RECIPE), augmentation)
    require_the_same_wherever_it_is_stopped(trainer, tmp_path)
    to_its_end(trainer, trainer.begin(1), lambda n, now: seen.append(now()[1].levenberg_marquardt))
    assert [at.n for at in seen if at] == [22, 40, 40, 40]


def test_without_a_file_there_is_no_training(trainer, tmp_path):
    checkpoint = Checkpoint(tmp_path / "a.checkpoint", {1: "one"})
    assert checkpoint.read(trainer.begin(1).state) == {}
    checkpoint.remove()
    checkpoint.require_same()


def test_those_that_were_asked_for_and_have_begun(trainer, tmp_path):
    begun = trainer.begin(2)
    trainings = {
        2: begun,
        3: begun.after(*trainer.alone.epoch(begun.state)),
        4: begun.after(*trainer.alone.epoch(begun.state)),
    }
    path = tmp_path / "a.checkpoint"
    Checkpoint(path, {2: "two", 3: "three", 4: "four"}).write(trainings)
    found = Checkpoint(path, {1: "one", 2: "another", 3: "three"})
    assert found.instances == {3, 4}
    assert {instance: bits(training) for instance, training in found.read(begun.state).items()} == {
        3: bits(trainings[3])
    }


def test_another_training_or_no_checkpoint_is_refused(trainer, tmp_path):
    path = tmp_path / "a.checkpoint"
    training = trainer.begin(1).after(*trainer.alone.epoch(trainer.begin(1).state))
    Checkpoint(path, {1: "one"}).write({1: training})
    whole = path.read_bytes()
    with pytest.raises(InputError, match="checkpoint of a training with other settings; remove it or choose"):
        Checkpoint(path, {1: "another"}).read(training.state)
    header, tensors = read_tensors(path)
    save_tensors(path, tensors, header | {"format_version": 1})
    with pytest.raises(InputError, match="checkpoint of another version of fluxeq; remove it"):
        Checkpoint(path, {1: "one"}).read(training.state)
    for damaged in (whole[:50], b"", whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1]), whole.replace(b"one", b"two")):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"a\.checkpoint: not a checkpoint of fluxeq .*; remove it to restart"):
            Checkpoint(path, {1: "one"}).read(training.state)


def test_they_are_written_by_the_clock(tmp_path, monkeypatch, trainer):
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    checkpoint = Checkpoint(tmp_path / "a.checkpoint", {1: "one"})
    now[0] = 29.9
    assert not checkpoint.due
    now[0] = 30.0
    assert checkpoint.due
    checkpoint.write({1: trainer.begin(1)})
    assert not checkpoint.due
    now[0] = 60.0
    assert checkpoint.due
    checkpoint.read(trainer.begin(1).state)  # one that had to wait for others before it started
    assert not checkpoint.due


LONG = {"epochs": 150, "patience": 150, "learning_rate": 1e-2, "batch_size": 4}


def train(folder, together=False, seed=1, **recipe):
    config = configured("EQ", SETTINGS, small_ensembles.SHAPE)
    data, chosen = small_ensembles.data("regression"), Recipe(**LONG | recipe)
    return train_instances(Series(data, "EQ", config, chosen, seed=seed), range(2), folder, together)


def killed(folder, together):
    """Train in a separate process that writes checkpoints continually, and kill it halfway."""
    code = f"""
import sys
sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[1])]}
from fluxeq.training import checkpoints
checkpoints.SECONDS = 0.0
import test_checkpoints
from pathlib import Path
test_checkpoints.train(Path({str(folder)!r}), {together})
"""
    process = subprocess.Popen([sys.executable, "-c", code])
    begun = folder / ("EQ-together.checkpoint" if together else "EQ-001.checkpoint")
    while not begun.exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert begun.exists()
    assert not (folder / "EQ-001.safetensors").exists()


@pytest.fixture(scope="module")
def in_peace(tmp_path_factory):
    """Models trained here, one after another and together; a short training leaves no checkpoint."""
    found = {}
    for together in (False, True):
        folder = tmp_path_factory.mktemp("models")
        train(folder, together)
        assert sorted({path.suffix for path in folder.iterdir()}) == [".csv", ".safetensors"]
        found[together] = folder
    return found


@pytest.mark.parametrize("together", [False, True], ids=["alone", "together"])
def test_killed_and_started_again(in_peace, tmp_path, together):
    killed(tmp_path, together)
    train(tmp_path, together)
    assert sorted(path.name for path in tmp_path.iterdir() if "unfinished" not in path.name) == [
        *("EQ-000.csv", "EQ-000.safetensors", "EQ-001.csv", "EQ-001.safetensors")
    ]
    for path in in_peace[together].iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.fixture
def noisy(monkeypatch):
    """A function that runs four trainings, compiled once; two stop early and leave the others in a group of two."""
    config, data = configured("EQ", SETTINGS, small_ensembles.SHAPE), small_ensembles.data("regression")
    recipe = Recipe(epochs=60, patience=3, learning_rate=0.1, batch_size=8)
    made = [Trainer(data, config, recipe, together=together) for together in (False, True)]
    monkeypatch.setattr(instances, "Trainer", lambda *arguments: made[arguments[-1]])

    def run(folder, together=True):
        train_instances(Series(data, "EQ", config, recipe, seed=4), range(4), folder, together)
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    return run


def stop_at(monkeypatch, k):
    """Stop at the k-th file replacement, alternately before and after it; returns the files replaced so far."""
    seen = []

    def replace(source, target, replaced=os.replace):
        seen.append(Path(target).name)
        if len(seen) == k // 2 + 1 and k % 2 == 0:
            raise StoppedError
        replaced(source, target)
        if len(seen) == k // 2 + 1:
            raise StoppedError

    monkeypatch.setattr(files.os, "replace", replace)
    return seen


@pytest.mark.parametrize(("seconds", "most"), [(0.0, 4), (1e9, 2)], ids=["often", "rarely, in two groups"])
def test_trainings_that_go_together_are_stopped_at_any_file(noisy, tmp_path, monkeypatch, seconds, most):
    """Also if only some of a group have their model, or a checkpoint is older than a model."""
    monkeypatch.setattr(module, "SECONDS", seconds)
    monkeypatch.setattr(Batched, "most", most)
    in_peace = noisy(tmp_path / "in peace")
    lengths = {len(in_peace[f"EQ-{i:03d}.csv"].splitlines()) for i in range(4)}
    assert len(lengths) > 2  # they stop one by one
    assert sorted(len(in_peace[f"EQ-{i:03d}.csv"].splitlines()) - 1 > 40 for i in range(4)) == [
        False,
        False,
        True,
        True,
    ]
    k, stopped = 0, set()
    while True:
        folder = tmp_path / str(k)
        with monkeypatch.context() as patched:
            seen = stop_at(patched, k)
            try:
                noisy(folder)
                break
            except StoppedError:
                stopped.add(seen[-1])
        assert noisy(folder) == in_peace, (k, seen)
        k += 1
    assert stopped == {"EQ-together.checkpoint", *in_peace}


def test_trainings_that_went_together_go_on_alone(noisy, tmp_path, monkeypatch):
    """They continue from where they were, and nothing is left when all are done."""
    monkeypatch.setattr(module, "SECONDS", 0.0)
    with monkeypatch.context() as patched:
        stop_at(patched, 3)
        with pytest.raises(StoppedError):
            noisy(tmp_path)
    seen = []
    monkeypatch.setattr(Checkpoint, "write", lambda self, found: seen.extend(at.n_epochs for at in found.values()))
    assert {Path(name).suffix for name in noisy(tmp_path, together=False)} == {".csv", ".safetensors"}
    assert min(seen) > 10


def test_changed_settings_do_not_go_on_from_there(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 0.0)

    def stop(reached):
        if reached[0].n > 3:
            raise StoppedError

    config, data = configured("EQ", SETTINGS, small_ensembles.SHAPE), small_ensembles.data("regression")
    with pytest.raises(StoppedError):
        train_instances(Series(data, "EQ", config, Recipe(**LONG), seed=1), range(1), tmp_path, progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["EQ-000.checkpoint"]
    for changed in ({"seed": 2}, {"epochs": 151}, {"learning_rate": 1e-3}):
        with pytest.raises(InputError, match="checkpoint of a training with other settings"):
            train(tmp_path, **changed)
    assert [path.name for path in tmp_path.iterdir()] == ["EQ-000.checkpoint"]
