"""``train`` and ``search`` with extreme options, on full disks, and concurrently."""

import json
import shutil
import sys

import numpy as np
import pytest

import full_disks
import small_ensembles
from fluxeq.__main__ import main
from fluxeq.system import progress
from fluxeq.system.files import read_json, sole_owner
from fluxeq.training.models import load_model

pytestmark = [
    pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning"),  # imported by pyerrors
    pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens:UserWarning"),  # under pytest
]
SIGNS_OF_LIFE = ("training: ", "searching: ", "loading: ", "predicting: ")
SMALL = {"blocks": [{"channels": 2, "kernel": 1}]}
SPACE = {"layers": [1, 1], "channels": [2], "kernels": [1], "poolings": [1], "dense_layers": [0, 0]}
SPACE |= {"activations": ["gelu"]}
COMMON = {"task": "regression", "architecture": "EQ", "data": ["one.h5"], "validation": ["two.h5"], "output": "out"}
TRAIN = {**COMMON, "config": SMALL, "recipe": {"epochs": 2}}
SEARCH = {**COMMON, "space": SPACE, "recipe": {"epochs": 2}, "storage": "j.log", "trials": 1, "repeats": 1}


@pytest.fixture(scope="module")
def ensembles(tmp_path_factory):
    closed, opened = small_ensembles.closed, small_ensembles.opened
    made = {"one": closed(1), "two": closed(2), "longer": closed(1, n=60), "worms": opened(1), "worms2": opened(2)}
    made |= {"single": closed(5, n=1), "single2": closed(6, n=1)}
    return small_ensembles.save(tmp_path_factory.mktemp("inputs"), made)


@pytest.fixture
def command(monkeypatch, tmp_path, capsys, ensembles):
    """Run a command in a folder with small ensembles; returns exit code and lines on standard error.

    Values of config, recipe and space are written to JSON files; strings are written as they are.
    """
    monkeypatch.chdir(tmp_path)
    for path in ensembles.values():
        shutil.copy(path, tmp_path)

    def run(name, options, *flags, **changes):
        words = [name, *flags]
        for option, value in (options | changes).items():
            if option in ("config", "recipe", "space"):
                (tmp_path / option).write_text(value if isinstance(value, str) else json.dumps(value))
                value = option
            words += [f"--{option}", *map(str, value if isinstance(value, list) else [value])]
        monkeypatch.setattr(sys, "argv", ["fluxeq", *words])
        code = 0
        try:
            main()
        except SystemExit as stopped:
            code = stopped.code
        return code, [line for line in capsys.readouterr().err.splitlines() if not line.startswith(SIGNS_OF_LIFE)]

    return run


RECIPES = {
    '{"learning_rate": NaN}': "learning_rate = nan",
    '{"learning_rate": Infinity}': "learning_rate = inf",
    '{"learning_rate": 1e300}': "float32; must be from 1.2e-38 to 3.4e38",
    '{"learning_rate": 1e-300}': "float32; must be from",
    '{"weight_decay": 1e300}': "float32; must be from",
    '{"epochs": 0}': "epochs = 0",
    '{"epochs": 1e300}': "epochs = 1e+300",
    '{"epochs": 1000000000000}': "allow fewer than 2^31",
    '{"betas": [1, 1]}': "betas",
    '{"epoch": 1}': "epoch",
    "[]": "a JSON object",
    "1": "a JSON object",
    "": "not a JSON file",
    "[" * 10**5: "not a JSON file",
    '{"epochs": ' + "9" * 5000 + "}": "not a JSON file",
}
CONFIGS = [
    ({"blocks": []}, "at least one block"),
    ({"blocks": [{"channels": 10**9, "kernel": 1}]}, "a layer of 4 x 1000000000 weights: the maximum is 2^26"),
    ({"blocks": [{"channels": 2, "kernel": 10**6}]}, "kernel = 1000000"),
    ({"blocks": [{"channels": 2, "kernel": 1, "pooling": 1000}]}, "pooling = 1000"),
    ({"dense": [10**30]}, "weights: the maximum is 2^26"),
    ({"config": [1]}, "config = [1]"),
    ({"config": SMALL, "recipe": [1]}, "config: recipe = [1]: must be a JSON object"),
    ({"config": SMALL, "digest": "abc"}, "checksum mismatch"),
]
SPACES = [
    ({"layers": [2, 1]}, "layers = [2, 1]"),
    ({"channels": []}, "channels = []"),
    ({"kernels": [65]}, "kernels.0 = 65"),
    ({"start": {"x": 1}}, "start.x = 1: not among the choices"),
    ({"learning_rates": [1e300]}, "float32; must be from"),
    ({"chanels": [1]}, "chanels"),
]
WRONG = [
    *(("train", TRAIN, {"recipe": text}, message) for text, message in RECIPES.items()),
    *(("train", TRAIN, {"config": config}, message) for config, message in CONFIGS),
    *(("search", SEARCH, {"space": SPACE | space}, message) for space, message in SPACES),
    ("train", TRAIN, {"instances": 0}, "instances = 0: must be from 1 to"),
    ("train", TRAIN, {"instances": 10**30}, "must be from 1 to 100000"),
    ("train", TRAIN, {"seed": -1}, "seed = -1: must be a non-negative integer"),
    ("train", TRAIN, {"validation": ["one.h5"]}, "share chains"),
    ("train", TRAIN, {"validation": ["longer.h5"]}, "share chains"),
    ("train", TRAIN, {"data": ["one.h5", "one.h5"]}, "one.h5: has the same configurations as one.h5"),
    ("train", TRAIN, {"data": ["one.h5", "longer.h5"]}, "longer.h5: has the same configurations as one.h5"),
    ("train", TRAIN, {"data": []}, "data"),
    ("train", TRAIN, {"recipe": {"learning_rate": 1e30, "epochs": 1}}, "out: EQ-000: learning_rate = 1e+30: "),
    ("search", SEARCH, {"seed": -1}, "seed = -1"),
    ("search", SEARCH, {"storage": "sqlite:///x"}, "storage 'sqlite:///x'"),
    ("search", SEARCH, {"storage": "journal:///"}, "is a folder"),
    ("search", SEARCH, {"storage": ""}, "is a folder"),
    ("search", SEARCH, {"storage": "/dev/null"}, "/dev/null: is not a file"),
    ("search", SEARCH, {"storage": "one.h5"}, "one.h5: line 1 is not a record of a search"),
    ("search", SEARCH, {"storage": "recipe"}, "recipe: line 1 is not a record of a search"),
    ("search", SEARCH, {"output": "one.h5"}, "is not a writable folder"),
    ("search", SEARCH, {"heartbeat": 0}, "heartbeat = 0"),
]


@pytest.mark.parametrize(("name", "options", "changes", "message"), WRONG, ids=[str(row[2])[:40] for row in WRONG])
def test_one_line_code_2_and_nothing_left_behind(command, tmp_path, name, options, changes, message):
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    code, lines = command(name, options, **changes)
    assert (code, len(lines)) == (2, 1), lines
    assert lines[0].startswith("fluxeq: ")
    assert message in lines[0]
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert after == before | {name: after[name] for name in ("config", "recipe", "space") if name in after}


EXTREMES = [
    ({"recipe": {"epochs": 1, "patience": 10**30, "batch_size": 10**30}}, []),
    ({"recipe": {"epochs": 1, "patience": 1, "batch_size": 1}}, []),
    ({"seed": 10**30}, []),
    ({"data": ["single.h5"], "validation": ["single2.h5"]}, ["--augmentation"]),
    ({"recipe": {"epochs": 1, "levenberg_marquardt": 10**30}, "seed": 2**64}, ["--together"]),
]


@pytest.mark.parametrize(("changes", "flags"), EXTREMES, ids=[str(row[0])[:40] for row in EXTREMES])
def test_extremes_that_are_possible(command, tmp_path, changes, flags):
    assert command("train", TRAIN, *flags, **changes) == (0, [])
    assert load_model(tmp_path / "out" / "EQ-000.safetensors").description.seed == changes.get("seed", 0)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["EQ-000.csv", "EQ-000.safetensors"]


def test_another_training_on_the_same_output(command, tmp_path):
    """It exits immediately; another architecture is not affected."""
    with sole_owner(tmp_path / "out" / ".EQ.lock", "trains EQ"):
        line = "fluxeq: out: another process trains EQ there; wait for it, or choose another output"
        assert command("train", TRAIN) == (2, [line])
        assert command("train", TRAIN, architecture="FL")[0] == 0
    assert command("train", TRAIN) == (0, [])


@pytest.mark.parametrize("flags", [(), ("--together",)])
def test_losses_are_shown_while_it_trains(command, tmp_path, capsys, monkeypatch, flags):
    """For one instance, or all of them in step."""
    monkeypatch.setattr(progress, "MIN_INTERVAL", 0.0)
    monkeypatch.setattr(progress, "INTERVAL_SHARE", 0.0)
    said = []
    monkeypatch.setattr(progress, "print", lambda text, **where: said.append(text), raising=False)
    n = 1 if not flags else 3
    assert command("train", TRAIN, *flags, instances=n, recipe={"epochs": 12})[0] == 0
    whole = [line for line in said if line.startswith(f"training: {12 * n} of {12 * n}, ")]
    remark = ", training " if n == 1 else " of 3 trainings"
    assert whole
    assert "validation loss " in whole[-1]
    assert remark in whole[-1]
    assert ", after " in whole[-1]


@pytest.mark.parametrize("flags", [(), ("--together",)])
@pytest.mark.parametrize("n", [1, 2])
def test_what_killed_processes_left_is_removed(command, tmp_path, flags, n):
    """However instances are trained; files of another architecture are kept."""
    (tmp_path / "out").mkdir()
    for name in (".EQ-000.running", ".EQ-007.running", ".EQ-001.0a1b2c3d.unfinished.csv", ".FL-000.running"):
        (tmp_path / "out" / name).touch()
    assert command("train", TRAIN, *flags, instances=n, recipe={"epochs": 1})[0] == 0
    assert [path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".")] == [".FL-000.running"]


def test_a_search_shows_the_best_so_far(command, monkeypatch):
    said = []
    monkeypatch.setattr(progress, "print", lambda text, **where: said.append(text), raising=False)
    assert command("search", SEARCH)[0] == 0
    assert any(line.startswith("searching: 1 of 1, best so far ") for line in said)


def test_instances_side_by_side_that_diverge(command, tmp_path):
    """The remaining ones are trained to the end; here they diverge as well."""
    code, lines = command("train", TRAIN, instances=3, recipe={"epochs": 2, "learning_rate": 1e30})
    assert code == 2
    assert len(lines) == 1
    assert "out: EQ-00" in lines[0]
    assert "(and 2 other instances)" in lines[0]
    assert not (tmp_path / "out").exists()


def test_a_search_whose_trainings_all_diverge(command, tmp_path):
    """Also if repeated, until another storage is used; the previous best setting is removed."""
    assert command("search", SEARCH) == (0, [])
    for _ in range(2):
        code, lines = command("search", SEARCH, storage="k.log", recipe={"epochs": 2, "learning_rate": 1e30})
        assert (code, len(lines)) == (2, 1)
        assert "out: the search of EQ for regression: trainings of all 1 settings diverged; lower the" in lines[0]
        assert not (tmp_path / "out" / "best.json").exists()
        assert read_json(tmp_path / "out" / "trials.json")[0]["value"] is None
    assert command("search", SEARCH) == (0, [])


def test_a_journal_that_was_cut_off(command, tmp_path, caplog):
    """The command reports it in one line and continues; the line is on standard error unless logging is configured."""
    assert command("search", SEARCH, space=SPACE | {"channels": [2, 3]}) == (0, [])
    (tmp_path / "j.log").write_bytes((tmp_path / "j.log").read_bytes()[:-30])
    assert command("search", SEARCH, space=SPACE | {"channels": [2, 3]}, trials=2) == (0, [])
    (line,) = caplog.messages
    assert line.startswith("j.log: line ")
    assert line.endswith(": dropped a truncated record, possibly from a full disk")
    assert len(read_json(tmp_path / "out" / "trials.json")) == 2


def test_a_damaged_model(command, tmp_path):
    assert command("train", TRAIN) == (0, [])
    path = tmp_path / "out" / "EQ-000.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-6] + bytes([content[-6] ^ 1]) + content[-5:])
    for given in (("predict", str(path)), ("evaluate", str(path))):
        options = {"data": "one.h5"} | ({"output": "p.csv"} if given[0] == "predict" else {})
        code, lines = command(given[0], options, given[1])
        assert code == 2
        assert "EQ-000.safetensors: not a model of fluxeq (checksum mismatch: its tensors are damaged)" in lines[-1]
    assert not (tmp_path / "p.csv").exists()


@full_disks.needed
@pytest.mark.parametrize(("name", "options"), [("train", TRAIN), ("search", SEARCH)])
def test_a_full_disk(command, tmp_path, name, options):
    """One line, exit code 1, no partial files; with free space the same command resumes."""
    with full_disks.of(tmp_path / "disk", "4m") as disk:
        given = options | {"output": "disk/out"} | ({"storage": "disk/j.log"} if name == "search" else {})
        (disk / "filling").write_bytes(bytes(4 * 2**20 - 4096))
        code, lines = command(name, given)
        assert code == 1, lines
        assert len(lines) == 1
        assert "No space left on device; free some space, then run the same command" in lines[0]
        assert not [path for path in disk.rglob("*") if "unfinished" in path.name]
        (disk / "filling").unlink()
        assert command(name, given) == (0, [])
        assert np.any([path.suffix in (".safetensors", ".json") for path in (disk / "out").iterdir()])
