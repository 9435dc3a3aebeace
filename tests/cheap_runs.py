"""Whole runs in a second: the work of a study is made up, with files that depend on all settings, and the rest is real.

Ensembles and models are JSON files that hold the settings they were made with; scores follow from these. Collecting,
figures (their tables; pictures are a digest of them), claims, provenance and the report are those of fluxeq.
"""

import json
import os
from concurrent.futures import Executor, Future
from contextlib import nullcontext
from functools import cache

import numpy as np
import pandas as pd

import synthetic_run
from fluxeq.analysis import claims, spread
from fluxeq.analysis.metrics import COLUMNS
from fluxeq.report.figures import canvas, registry
from fluxeq.runs import jobs
from fluxeq.system.files import derived_seed, digest, model_file
from fluxeq.workflow import executors

RECIPE = "recipe = { epochs = 1, batch_size = 8 }"
SEARCH = f"trials = 1\nrepeats = 1\nn_training = 8\n{RECIPE}"
WORMS = f"""
lam = 1.0
couplings = [[4.01, 1.5]]
shape = [4, 4]
configurations = 10
test_eta = [4.01]
test_mu = [1.0, 1.5]
test_shapes = [[4, 4], [8, 8]]
test_configurations = 4
instances = 2
{RECIPE}
"""
STUDY = f"""
name = "cheap"
seed = 1
[regression]
eta = 4.01
lam = 1.0
mu = 1.5
shape = [4, 2]
n_training = [10, 20]
augmented = ["ST", "FL"]
test_mu = [1.0, 1.25, 1.5]
test_shapes = [[4, 2], [8, 2]]
test_configurations = 8
instances = 2
{RECIPE}
[regression.search]
{SEARCH}
[detection]{WORMS}
n_worms = [0, 1]
test_n_worms = [0, 1]
[detection.search]
{SEARCH}
[counting]{WORMS}
n_worms = [0, 2]
test_n_worms = [0, 1, 2]
searches = 2
[counting.search]
{SEARCH}
[reference]
eta = 4.01
lam = 1.0
mu = [1.0, 1.5]
shape = [8, 2]
n_training = 10
instances = 1
config = {{ blocks = [{{ channels = 2, kernel = 1 }}], dense = [2] }}
{RECIPE}
"""


class Here(Executor):
    """Does every job at once in this process."""

    def submit(self, function, /, *arguments):
        future = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


def here(*_):
    """An executor of that kind, as studies open one."""
    return nullcontext(Here())


def make_cheap(patch):
    """Have studies done like this, until a MonkeyPatch is undone."""
    for name, function in FAKES.items():
        patch.setitem(jobs.KINDS, name, function)
    patch.setattr(executors, "executor", here)
    patch.setattr(canvas, "save", lambda figure, path: write(path, digest(path.with_suffix(".csv").read_text())))
    patch.setattr(spread, "RESAMPLED", 20)
    patch.setattr(claims, "RULES", [rule for rule in claims.RULES if rule.id in ("R1", "R5", "D4", "C2", "S1")])
    patch.setattr(os, "fsync", lambda file: None)
    for name, figure in registry.FIGURES.items():
        patch.setitem(registry.FIGURES, name, figure._replace(draw=lambda numbers: None))


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def sample(run, output, couplings, **settings):
    write(run / output, {"couplings": couplings, "numbers": [None], **settings})


def worms(run, source, output, **settings):
    write(run / output, {**json.loads((run / source).read_text()), **settings})


def search(run, task, architecture, output, **settings):
    rng = np.random.default_rng(seed_of(run, task, architecture, settings))
    folder = run / output
    if not folder.exists():
        folder.mkdir(parents=True)
        (folder / "journal.log").write_text("trials")
    trials = synthetic_run.search(rng, 3)
    write(folder / "trials.json", trials)
    write(folder / "best.json", {"task": task, "architecture": architecture, **trials[0]})


def train(run, output, instances, **settings):
    content = {**settings, "drawn": seed_of(run, settings)}
    for instance in instances:
        write(run / output / model_file(settings["architecture"], instance), {**content, "instance": instance})


def seed_of(run, *settings):
    """A number that follows from settings and the content of all files that they name."""
    words = [word for word in json.dumps(settings).split('"') if (run / word).is_file()]
    return derived_seed(digest([settings, *((run / word).read_text() for word in words)]))


def evaluate(run, group, models, tests, output):
    rows = [row for path in models for test in tests for row in rows_of(run, group, path, *test)]
    (run / output).parent.mkdir(exist_ok=True)
    pd.DataFrame(rows, columns=COLUMNS).to_csv(run / output, index=False)


def rows_of(run, group, path, file, shape):
    model, ensemble = (json.loads((run / name).read_text()) for name in (path, file))
    if model["architecture"] == "FL" and group == "study" and shape != shape_of(run, model["training"][0]):
        return
    for number in ensemble["numbers"]:
        rng = np.random.default_rng(derived_seed(path, digest(model), file, str(number)))
        about = {name: model[name] for name in ("task", "architecture", "augmentation", "n_training", "instance")}
        eta, lam, mu = ensemble["couplings"]
        yield about | {
            "group": group,
            "model": path,
            "n_parameters": 100,
            "shape": "x".join(map(str, shape)),
            **{"eta": eta, "lam": lam, "mu": mu, "n_worms": number, "configurations": 10},
            **{name: rng.random() for name in COLUMNS[COLUMNS.index("loss") :]},
        }


def shape_of(run, file):
    return json.loads((run / file).read_text())["shape"]


def measure(run, models, data):
    for name, table in measured().items():
        (run / "measurements").mkdir(exist_ok=True)
        table.to_csv(run / "measurements" / f"{name}.csv", index=False)


@cache
def measured():
    return synthetic_run.tables().measurements


def winners(run, models, output):
    for task, found in models.items():
        for architecture, paths in found.items():
            write(run / output / f"{task}-{architecture}.safetensors", [(run / path).read_text() for path in paths])


FAKES = {function.__name__: function for function in (sample, worms, search, train, evaluate, measure, winners)}
