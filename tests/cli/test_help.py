"""The commands: their output, and that every invalid input gives one line and exit code 2."""

import json
import shutil
import signal
import subprocess
import sys
import time
from importlib.resources import files

import h5py
import pandas as pd
import pytest

import small_ensembles
from fluxeq import __version__
from fluxeq.__main__ import main
from fluxeq.analysis.tables import METRICS
from fluxeq.cli import arguments
from fluxeq.data.ensembles import open_ensemble
from fluxeq.training.models import describe

pytestmark = [
    pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning"),  # imported by pyerrors
    pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens:UserWarning"),  # under pytest
]

SAMPLE = {"shape": "4x2", "eta": "4.01", "lam": "1", "mu": "1.5", "configurations": "8", "output": "e.h5"}
TRAIN = {
    "task": "regression",
    "architecture": "EQ",
    "data": "{one}",
    "validation": "{two}",
    "output": "models",
    "recipe": "{recipe}",
}
SMALL = {"layers": [1, 1], "channels": [2], "kernels": [1], "poolings": [1], "dense_layers": [0, 0]}
SEARCH = {**TRAIN, "output": "found", "storage": "journal.log", "trials": "1", "repeats": "1", "space": "{space}"}


def words(command, options, **changes):
    """The arguments of a command; options set to None are left out."""
    given = {name: value for name, value in (options | changes).items() if value is not None}
    return [command, *(word for name, value in given.items() for word in (f"--{name}", value))]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Input files of commands, by name; not to be changed."""
    folder = tmp_path_factory.mktemp("inputs")
    closed = small_ensembles.closed
    made = {"one": closed(1), "two": closed(2), "wide": closed(3, n=8, shape=(4, 6)), "odd": closed(3, 8, (5, 4))}
    made |= {"odd2": closed(4, 8, (5, 4)), "worms": small_ensembles.opened(1), "worms2": small_ensembles.opened(2)}
    found = small_ensembles.save(folder, made)
    texts = {
        "text": "a text",
        "recipe": json.dumps({"epochs": 2}),
        "space": json.dumps(SMALL),
        "small": json.dumps({"blocks": [{"channels": 2, "kernel": 1}]}),
        "unknown field": json.dumps({"depth": 3}),
        "bad recipe": json.dumps({"epochs": 0}),
        "misspelled": json.dumps({"learning_rat": 0.01}),
        "list": "[1]",
        "broken": "{",
    }
    for name, text in texts.items():
        found[name] = folder / f"{name}.json"
        found[name].write_text(text)
    quick = files("fluxeq.study").joinpath("quick.toml").read_text()
    for name, text in {"bad study": quick.replace("seed = 1", "seed = 1\nseeds = 2"), "bad toml": "name = ["}.items():
        found[name] = folder / f"{name}.toml"
        found[name].write_text(text)
    found["hdf5"] = folder / "other.h5"
    with h5py.File(found["hdf5"], "w") as file:
        file["x"] = 1
    found["folder"] = folder
    return found


@pytest.fixture
def fluxeq(monkeypatch, tmp_path, places, capsys):
    """Run a command in an empty folder; returns exit code, output, and lines on standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        given = [argument.format(**places) for argument in arguments]
        monkeypatch.setattr(sys, "argv", ["fluxeq", *given])
        code = 0
        try:
            main()
        except SystemExit as stopped:
            code = stopped.code
        out, err = capsys.readouterr()
        return code, out, err.splitlines()

    return run


@pytest.fixture(scope="module")
def model(places, tmp_path_factory):
    """An FL network, for one lattice."""
    folder = tmp_path_factory.mktemp("models")
    given = words("train", TRAIN, architecture="FL", output=str(folder), config="{small}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["fluxeq", *(word.format(**places) for word in given)])
        main()
    places["model"] = folder / "FL-000.safetensors"
    return places["model"]


def sample(**changes):
    return words("sample", SAMPLE, **changes)


def train(**changes):
    return words("train", TRAIN, **changes)


def search(**changes):
    return words("search", SEARCH, **changes)


def reproduce(**options):
    command, *rest = words("reproduce", {"output": "run"}, **options)
    return [command, "quick", *(word.replace("_", "-") if word[:2] == "--" else word for word in rest)]


def worms(number="0,1", ensemble="{one}", output="w.h5", **options):
    command, *rest = words("worms", {"number": number, "output": output}, **options)
    return [command, ensemble, *rest]


WRONG = [
    (sample(shape="60x"), "shape '60x': must be extents separated by x"),
    (sample(shape="60xx4"), "shape '60xx4'"),
    (sample(shape="-3x4"), "shape"),
    (sample(shape="text"), "shape 'text'"),
    (sample(shape=""), "shape ''"),
    (sample(shape="1x4"), "shape 1x4: every extent must be an integer of at least 2"),
    (sample(shape="0x4"), "shape 0x4"),
    (sample(lam="-1"), "lam = -1: "),
    (sample(until="m=1"), "observable 'm': choose one of n, phi2, or give package.module:Name"),
    (sample(until="n=0"), "until 'n=0'"),
    (sample(until="n"), "until 'n'"),
    (sample(start="nowhere.h5"), "nowhere.h5: no such ensemble"),
    (sample(start="{worms}"), "must be a closed ensemble on the lattice"),
    (["measure", "{one}", "--plot", "p.txt"], "plot 'p.txt': must end in .png or .pdf"),
    (sample(mu="nan"), "mu = nan: a coupling must be a finite number"),
    (sample(eta="inf"), "eta = inf"),
    (sample(lam="0"), "raise eta or lam"),
    (sample(configurations="0"), "configurations = 0: must be an integer of at least 1"),
    (sample(configurations="-1"), "configurations = -1: must be an integer of at least 1"),
    (sample(configurations="abc"), "abc"),
    (sample(chains="0"), "chains = 0: must be an integer of at least 1"),
    (sample(seed="-1"), "seed = -1"),
    (sample(threads="0"), "threads = 0"),
    (sample(threads="-1"), "threads = -1"),
    (sample(eta=None), "--eta"),
    (sample(device="tpu"), 'Invalid value "tpu" for --device. Choose from: "cpu", "cuda"'),
    (sample(output="{folder}"), "is a folder; name a file in it"),
    (sample(output="{text}/e.h5"), "is not a writable folder"),
    (sample(output="{text}"), "not an ensemble of fluxeq"),
    (sample(output="{one}"), "choose another output"),
    (sample(output="{worms}"), "open worms or imported configurations cannot be extended"),
    (sample(temperature="3"), "--temperature"),
    (["simulate"], "simulate"),
    (["measure", "missing.h5"], "no such ensemble"),
    (["measure", "{one}", "--observable", "m"], "observable 'm': choose one of n, phi2, or give package.module:Name"),
    (["measure", "{one}", "--observable", "fluxeq.observables:divergence"], "fails with TypeError"),
    (["measure", "{text}"], "not an ensemble"),
    (["measure", "{hdf5}"], "not an ensemble"),
    (["measure"], "ENSEMBLE"),
    (worms("5,5"), "distinct non-negative integers"),
    (worms("-1"), "number '-1': must be non-negative integers"),
    (worms("a"), "number 'a': must be non-negative integers"),
    (worms(""), "number ''"),
    (worms("0,5"), "draw at most 4"),
    (worms(seed="-1"), "seed = -1"),
    (worms(ensemble="{worms}"), "already has open worms"),
    (worms(output="{worms}"), "exists; remove it or choose another output"),
    (worms(output="{folder}"), "is a folder"),
    (
        train(task="sorting"),
        "task 'sorting': choose one of regression, detection, counting, or give package.module:Name",
    ),
    (train(architecture="XX"), "architecture 'XX': choose one of EQ, ST, FL, or give package.module:Name"),
    (train(validation="{one}"), "share chains"),
    (train(config="{unknown field}"), "EQ depth is unknown; the fields are blocks, pooling"),
    (train(config="{list}"), "a JSON object"),
    (train(config="missing.json"), "missing.json: no such file"),
    (train(recipe="{bad recipe}"), "epochs = 0"),
    (train(recipe="{broken}"), "not a JSON file"),
    (train(recipe="{misspelled}"), "learning_rat is unknown; did you mean learning_rate?"),
    (train(instances="0"), "instances = 0: must be from 1 to 100000"),
    (train(output="{text}"), "is not a writable folder"),
    (train(seed="x"), "seed"),
    (["evaluate", "{text}", "--data", "{one}"], "not a model of fluxeq"),
    (["evaluate", "missing", "--data", "{one}"], "no such model"),
    (["evaluate", "{model}", "--data", "{wide}"], "this FL network is for 4x4 only"),
    (["evaluate", "json:loads", "--data", "{one}"], "no such model; a function requires --task"),
    (["evaluate", "json:loads", "--task", "sorting", "--data", "{one}"], "task 'sorting': choose one of regression"),
    (["evaluate", "json:load", "--task", "regression", "--data", "{one}"], "'json:load': fails with AttributeError"),
    (["evaluate", "no:one", "--task", "regression", "--data", "{one}"], "function 'no:one': cannot be imported"),
    (["predict", "{text}", "--data", "{one}", "--output", "p.csv"], "not a model of fluxeq"),
    (["predict", "{model}", "--data", "{wide}", "--output", "p.csv"], "this FL network is for 4x4 only"),
    (["predict", "{model}", "--data", "{one}", "--output", "{folder}"], "is a folder"),
    (search(storage="sqlite:///s.db"), "storage 'sqlite:///s.db': use journal"),
    (search(storage="{folder}"), "is a folder"),
    (search(output="{text}"), "is not a writable folder"),
    (search(trials="0"), "trials = 0: must be at least 1"),
    (search(repeats="0"), "repeats = 0: must be at least 1"),
    (search(heartbeat="0"), "heartbeat = 0: must be at least 1 second"),
    (search(space="{bad recipe}"), "epochs"),
    (search(architecture="XX"), "architecture 'XX': choose one of EQ, ST, FL"),
    (["reproduce", "slow", "--output", "run"], "study 'slow': choose quick, laptop, paper"),
    (["reproduce", "{bad study}", "--output", "run"], "seeds is unknown; did you mean seed?"),
    (["reproduce", "{bad toml}", "--output", "run"], "not a TOML file"),
    (["reproduce", "quick", "--output", "{text}"], "is a file; choose a folder for the run"),
    (["reproduce", "quick", "--output", "{folder}"], "is not empty and not a run"),
    (["reproduce", "quick", "--output", "run", "--executor", "nonsense"], '"nonsense" for --executor'),
    (["reproduce", "quick", "--output", "run", "--workers", "0"], "workers = 0: must be at least 1"),
    (["reproduce", "quick", "--output", "run", "--device", "tpu"], '"tpu" for --device'),
    (train(device="cuda"), "device 'cuda': JAX finds no GPU here"),
    (train(device="tpu"), '"tpu" for --device'),
    (["reproduce", "quick", "--output", "run", "--device", "cuda"], "device 'cuda': JAX finds no GPU here"),
    (reproduce(task="detecting"), "task 'detecting': choose among regression, detection, counting, zhou"),
    (reproduce(scheduler="tcp://h:1"), "scheduler 'tcp://h:1': requires --executor dask"),
    (reproduce(executor="dask", scheduler="tcp://h:1", workers="2"), "leave out --workers"),
    (
        reproduce(executor="dask", scheduler="host"),
        "scheduler 'host': must be the address that 'dask scheduler' prints",
    ),
    (reproduce(executor="dask", scheduler="http://h:1"), "as in tcp://host:8786"),
    (["status", "."], "not a run"),
    (["status", "missing"], "not a run"),
    (["report", "{folder}"], "not a run"),
    (["figure", "{folder}", "fig3"], "not a run"),
    (["figure", "fig3"], "RUN-OR-TABLES"),
    (["figure", "{folder}", "fig3", "--output", "f.png"], "a figure of a run is written to its folder"),
    (["figure", "s.csv", "fig4"], "--output: missing"),
    (
        ["figure", "s.csv", "fig4", "--output", "f.png"],
        "s.csv: no such file; make them with 'fluxeq evaluate --output'",
    ),
    (["figure", "{folder}", "s.csv", "fig4", "--output", "f.png"], "no such file"),
    (["figure", "s.csv", "fig4", "--output", "f.txt"], "must end in .png, .pdf or .csv"),
    (["figure", "s.csv", "fig7a", "--output", "f.png", "--shape", "8"], "no such file"),
    (["figure", "s.csv", "fig7a", "--output", "f.png", "--shape", "8x"], "shape '8x'"),
]


@pytest.mark.parametrize(("given", "message"), WRONG, ids=[f"{i}-{' '.join(w[0])[:50]}" for i, w in enumerate(WRONG)])
def test_one_line_code_2_and_nothing_left_behind(fluxeq, model, places, tmp_path, given, message):
    before = {path: path.read_bytes() for path in places["folder"].iterdir()}
    code, out, lines = fluxeq(*given)
    assert code == 2
    assert out == ""
    assert len(lines) == 1, lines
    assert lines[0].startswith("fluxeq: ")
    assert message in lines[0]
    assert "Traceback" not in lines[0]
    assert list(tmp_path.iterdir()) == []
    assert {path: path.read_bytes() for path in places["folder"].iterdir()} == before


def test_sample_extends_resumes_and_says_that_it_is_complete(fluxeq, tmp_path):
    assert fluxeq(*sample())[:2] == (0, "e.h5: complete, 8 configurations\n")
    assert fluxeq(*sample()) == (0, "e.h5: already complete, 8 configurations\n", [])
    assert fluxeq(*sample(configurations="11"))[1] == "e.h5: complete, 11 configurations\n"
    assert len(open_ensemble("e.h5")) == 11
    assert [path.name for path in tmp_path.iterdir()] == ["e.h5"]


def test_sample_until(fluxeq):
    """It prints the error reached, and fails if this is not the requested one."""
    code, out, lines = fluxeq(*sample(until="n=1e-6"))
    assert code == 1
    assert out.startswith("e.h5: kept, 8 configurations\nn ")
    too_few = "too few to estimate the number required; allow more"
    assert lines[-1:] == [f"fluxeq: n=1e-06 is not reached with 8 configurations; {too_few}"]


def test_measure_says_how_the_moves_went_and_draws(fluxeq, tmp_path):
    out = fluxeq("measure", "{one}", "--plot", "p.png")[1]
    assert "accepted moves: enter " in out
    assert " steps per worm" in out
    assert (tmp_path / "p.png").stat().st_size > 10000
    found = json.loads(fluxeq("measure", "{one}", "--json")[1])
    assert set(found["moves"]["acceptance"]) == {"enter", "leave", "remove", "add"}
    assert found["n"]["missing"] >= 0


ENDLESS = {
    "sample": (sample(configurations="1000000000", output="out/e.h5"), "e.h5.parts/000000000-tuned.h5"),
    "train": (train(instances="100000", output="out"), "EQ-002.safetensors"),
    "search": (search(trials="100000", storage="out/journal.log", output="out"), "journal.log"),
}
"""Commands that would take very long, and a file that shows that one has started."""


@pytest.mark.parametrize(("command", "number"), [("sample", "TERM"), ("train", "USR1"), ("search", "TERM")])
def test_a_command_whose_time_is_up_is_gone_on_with(fluxeq, places, tmp_path, command, number):
    """Its finished parts are kept, there are no partial files, and the same command resumes."""
    given, begun = ENDLESS[command]
    process = subprocess.Popen(
        [sys.executable, "-c", "from fluxeq.__main__ import main; main()", *(word.format(**places) for word in given)],
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / "out" / begun).exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.Signals[f"SIG{number}"])
    _, printed = process.communicate(timeout=60)
    lines = [line for line in printed.splitlines() if line.startswith("fluxeq")]
    assert (process.returncode, lines) == (75, ["fluxeq: terminated; run the same command again to resume"])
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert not [path for path in before if "unfinished" in path.name or path.is_symlink()]
    smaller = [word.replace("1000000000", "12").replace("100000", "2") for word in given]
    assert fluxeq(*smaller)[0] == 0
    if command == "sample":
        assert fluxeq(*sample(configurations="12"))[0] == 0
        stopped, whole = open_ensemble("out/e.h5"), open_ensemble("e.h5")
        assert (stopped.configurations == whole.configurations).all()
    else:
        kept = [path for path in before if path.suffix == ".safetensors"]
        assert [before[path] for path in kept] == [path.stat().st_mtime_ns for path in kept]
        assert len(kept) >= 2 or command == "search"


LOST = """
import gc, os, signal, time
from fluxeq.cli.exit_codes import handle_signals

def collected(phase, found):
    gc.callbacks.clear()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.01)  # what is raised now is printed and forgotten

with handle_signals():
    gc.callbacks.append(collected)
    gc.collect()
    time.sleep(5)
print("nobody has stopped this")
"""


def test_a_stop_that_gets_lost_comes_again():
    """Python drops exceptions in destructors and garbage-collector callbacks; the command still ends."""
    done = subprocess.run([sys.executable, "-c", LOST], capture_output=True, text=True, check=False)
    said = "fluxeq: terminated; run the same command again to resume\n"
    assert (done.returncode, done.stdout, done.stderr) == (75, "", said)


def test_folders_are_made(fluxeq, tmp_path):
    assert fluxeq(*sample(output="a/b/e.h5"))[0] == 0
    assert (tmp_path / "a" / "b" / "e.h5").is_file()


def test_measure(fluxeq):
    code, out, _ = fluxeq("measure", "{one}", "--json")
    found, ensemble = json.loads(out), small_ensembles.closed(1)
    assert code == 0
    assert found["n"]["value"] == pytest.approx(ensemble.n.mean())
    assert found["phi2"]["value"] == pytest.approx(ensemble.phi2.mean())
    assert (found["configurations"], found["chains"]) == (40, 4)
    assert {"value", "error", "tau_int"} <= found["n"].keys()
    assert "40 configurations from 4 chains" in fluxeq("measure", "{one}")[1]


def test_worms(fluxeq):
    code, out, _ = fluxeq("worms", "{one}", "--number", "0,3", "--output", "w.h5", "--seed", "4")
    assert (code, out) == (0, "w.h5: 40 configurations with 0,3 open worms\n")
    assert sorted(open_ensemble("w.h5").n_worms) == [0] * 20 + [3] * 20


def test_train_evaluate_predict(fluxeq, model, tmp_path):
    code, out, _ = fluxeq("evaluate", "{model}", "--data", "{two}", "--json")
    [found] = json.loads(out)
    assert code == 0
    assert found["configurations"] == 40
    assert fluxeq("predict", "{model}", "--data", "{two}", "--output", "p.csv")[0] == 0
    table, truth = pd.read_csv(tmp_path / "p.csv"), small_ensembles.closed(2)
    assert list(table) == ["configuration", "n", "phi2", "n_true", "phi2_true"]
    assert list(table["n_true"]) == pytest.approx(truth.n)
    errors = [(table["n"] - truth.n) ** 2, (table["phi2"] - truth.phi2) ** 2]
    assert found["loss"] == pytest.approx(sum(map(sum, errors)) / 80, rel=1e-4)
    assert found["per_target"]["n"] == pytest.approx(errors[0].mean(), rel=1e-4)


def test_scores_as_a_table(fluxeq, model, tmp_path):
    """For several models and ensembles, in the columns of metrics.csv; incompatible pairs are reported."""
    code, out, lines = fluxeq("evaluate", "{model}", "--data", "{two}", "{wide}", "--output", "s.csv")
    assert (code, len(out.splitlines())) == (2, 2)
    assert "wide.h5: not scored: lattice 4x6: this FL network is for 4x4 only" in out
    assert lines[-1].startswith("fluxeq: 1 of 2 models cannot be scored")
    table = pd.read_csv(tmp_path / "s.csv")
    assert [*table.columns] == [*list(METRICS)[:11], "eta", "lam", "mu", *list(METRICS)[11:]]
    assert list(table["target"]) == ["n", "phi2"]
    [found] = json.loads(fluxeq("evaluate", "{model}", "--data", "{two}", "--json")[1])
    assert dict(zip(table["target"], table["loss"], strict=True)) == pytest.approx(found["per_target"])
    assert set(table["model"]) == {str(model)}


def test_a_figure_of_scores(fluxeq, places, tmp_path):
    """Two trainings of one architecture as named families, in the tables of two calls."""
    for name, seed in (("first", "1"), ("second", "2")):
        assert fluxeq(*train(output=name, seed=seed, config="{small}"))[0] == 0
        scored = ["evaluate", f"{name}/EQ-000.safetensors", "--data", "{wide}", "--family", name]
        assert fluxeq(*scored, "--output", f"{name}.csv")[0] == 0
    drawn = fluxeq("figure", "first.csv", "second.csv", "fig4", "--output", "fig4.csv")
    assert (drawn[0], drawn[1]) == (0, "fig4.csv\n")
    assert list(pd.read_csv(tmp_path / "fig4.csv")["family"]) == ["first", "second"]
    assert fluxeq("figure", "first.csv", "second.csv", "fig3", "--output", "fig3.png")[0] == 0
    assert (tmp_path / "fig3.png").stat().st_size > 10000
    code, _, lines = fluxeq("figure", "first.csv", "fig7a", "--output", "fig7a.png")
    assert (code, "no rows of task counting" in lines[-1]) == (2, True)


def test_functions_are_scored_beside_models(fluxeq, model, tmp_path):
    """In a figure they appear with the networks of the largest training set."""
    (tmp_path / "mine.py").write_text("def predict(x):\n    return x[:, :2].mean(axis=(2, 3))\n")
    given = ["--task", "regression", "--data", "{two}"]
    code, out, _ = fluxeq("evaluate", "mine:predict", "{model}", *given, "--output", "s.csv")
    assert (code, len(out.splitlines())) == (0, 2)
    assert out.startswith("mine:predict: loss ")
    assert fluxeq("figure", "s.csv", "fig2", "--output", "fig2.csv")[0] == 0
    found = pd.read_csv(tmp_path / "fig2.csv").set_index("family")["n_training"]
    assert found.to_dict() == {"FL": 40, "mine:predict": 40}


def test_learning_curves(fluxeq, model, tmp_path):
    assert fluxeq("curves", "{model}", "--output", "c.png")[:2] == (0, "c.png\n")
    assert (tmp_path / "c.png").stat().st_size > 10000
    for word, output, message in (
        ("{text}", "c.png", "no such learning curve"),
        ("/", "c.png", "no such learning curve"),
        (".", "c.png", "no such learning curve"),
        ("{model}", "c.txt", "must end in .png or .pdf"),
    ):
        code, _, lines = fluxeq("curves", word, "--output", output)
        assert (code, message in lines[-1]) == (2, True)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    assert "not a learning curve" in fluxeq("curves", "other.csv", "--output", "c.png")[2][-1]


def test_a_test_on_the_training_data_is_called_so(fluxeq, model):
    code, _, lines = fluxeq("evaluate", "{model}", "--data", "{one}")
    assert code == 0
    assert "was trained on these chains, so this is not a test" in lines[0]
    assert fluxeq("evaluate", "{model}", "--data", "{odd}")[0] == 2
    shutil.copy(model, "copy.safetensors")
    assert fluxeq("evaluate", "copy.safetensors", "--data", "{two}")[2][0].endswith("this is not a test")


def test_search(fluxeq, tmp_path):
    assert fluxeq(*search(seed="1"))[0] == 0
    best = json.loads((tmp_path / "found" / "best.json").read_text())
    assert best["config"]["blocks"] == [{"channels": 2, "kernel": 1, "pooling": 1}]
    out = fluxeq(*search(seed="1"))[1]
    assert out.startswith("budget of EQ: 1 settings, 1 trainings each, at most 2 steps per training; 2 steps in total")
    assert out.endswith(f"{best['n_parameters']} parameters\n")
    assert (tmp_path / "found" / "search.png").stat().st_size > 10000


def test_a_winner_is_trained_with_what_the_search_chose_of_the_recipe(fluxeq, tmp_path):
    space = json.dumps(SMALL | {"learning_rates": [0.003], "batch_sizes": [10]})
    (tmp_path / "space.json").write_text(space)
    assert fluxeq(*search(seed="1", space="space.json"))[0] == 0
    best = json.loads((tmp_path / "found" / "best.json").read_text())
    assert best["recipe"] == {"learning_rate": 0.003, "batch_size": 10}
    assert fluxeq(*train(config="found/best.json"))[0] == 0
    recipe = describe(tmp_path / "models" / "EQ-000.safetensors").recipe
    assert (recipe.learning_rate, recipe.batch_size, recipe.epochs) == (0.003, 10, 1)
    (tmp_path / "found" / "best.json").write_text(json.dumps(best | {"recipe": {"batch_size": 0}}))
    code, _, lines = fluxeq(*train(config="found/best.json", output="others"))
    assert (code, len(lines)) == (2, 1)
    assert "checksum mismatch" in lines[0]
    mine = {"config": best["config"], "recipe": {"batch_size": 0}}
    (tmp_path / "mine.json").write_text(json.dumps(mine))
    assert "mine.json: recipe.batch_size = 0" in fluxeq(*train(config="mine.json", output="others"))[2][0]


@pytest.mark.parametrize(("text", "shape"), [("60x4", (60, 4)), ("8X8x2", (8, 8, 2)), ("5", (5,))])
def test_shapes(text, shape):
    assert arguments.parsed_shape(text) == shape


def test_version_and_help(fluxeq):
    assert fluxeq("--version")[:2] == (0, f"{__version__}\n")
    code, out, _ = fluxeq("--help")
    assert code == 0
    assert all(name in out for name in ("sample", "worms", "train", "reproduce", "report"))


def test_help_imports_nothing_heavy():
    heavy = ["jax", "numba", "numpy", "optuna", "matplotlib", "pandas", "h5py", "scipy"]
    code = f"import sys, fluxeq.cli.commands; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
