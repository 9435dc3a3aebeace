"""Whole runs in a second: the jobs of a study produce synthetic files that depend on all settings; the rest is real.

Ensembles and models are JSON files with the settings they were made with, from which the scores follow. Collecting,
figures (their tables; images are a digest of them), claims, provenance and the report are those of fluxeq.
"""

import json
import os
from concurrent.futures import Executor, Future
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import synthetic_run
from fluxeq.analysis import spread
from fluxeq.analysis.claims import claim
from fluxeq.analysis.tables import METRICS
from fluxeq.lattice import shape_name
from fluxeq.report.figures import canvas, registry
from fluxeq.report.figures import search as searches
from fluxeq.runs import jobs
from fluxeq.study.family import file_stem
from fluxeq.study.study import load_study
from fluxeq.system.files import derived_seed, digest
from fluxeq.tasks.task import TASKS
from fluxeq.workflow import selection
from fluxeq.workflow.executors import WorkerPools, Workers

RECIPE = "recipe = { epochs = 1, batch_size = 8 }"
SEARCH = f"search = {{ trials = 1, repeats = 1, n_training = 8, {RECIPE} }}"
WORMS = f"""
couplings = {{ lam = 1.0 }}
training = [{{ eta = 4.01, mu = 1.5 }}]
shape = [4, 4]
instances = 2
{RECIPE}
{SEARCH}
"""
GRID = "couplings = { eta = [4.01], mu = [1.0, 1.5] }, shapes = [[4, 4], [8, 8]], configurations = 4"
STUDY = f"""
name = "cheap"
seed = 1
[tasks.regression]
couplings = {{ eta = 4.01, lam = 1.0 }}
training = [{{ mu = 1.5 }}]
shape = [4, 2]
n_training = [10, 20]
instances = 2
test = {{ couplings = {{ mu = [1.0, 1.25, 1.5] }}, shapes = [[4, 2], [8, 2]], configurations = 8 }}
{RECIPE}
{SEARCH}
[tasks.regression.families]
EQ = {{}}
ST = {{}}
FL = {{}}
"ST, augmented" = {{ architecture = "ST", augmentation = true }}
"FL, augmented" = {{ architecture = "FL", augmentation = true }}
[tasks.detection]{WORMS}
n_training = [20]
n_worms = [0, 1]
test = {{ {GRID}, n_worms = [0, 1] }}
[tasks.counting]{WORMS}
n_training = [20]
n_worms = [0, 2]
test = {{ {GRID}, n_worms = [0, 1, 2] }}
searches = 2
[tasks.zhou]
task = "regression"
couplings = {{ eta = 4.01, lam = 1.0 }}
training = [{{ mu = 1.0 }}, {{ mu = 1.5 }}]
shape = [8, 2]
n_training = [10]
instances = 1
test = {{ couplings = {{ mu = [1.0, 1.5] }}, shapes = [[8, 2]], configurations = 8 }}
families.Zhou = {{ architecture = "FL", networks = [{{ config = {{ blocks = [{{ channels = 2, kernel = 1 }}] }} }}] }}
{RECIPE}
"""


class Here(Executor):
    """Runs every job immediately in this process."""

    def submit(self, function, /, *arguments):
        future = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


def fleet(*_):
    """Workers of this kind, as studies request them."""
    return nullcontext(WorkerPools(WORKERS, WORKERS))


WORKERS = Workers(Here(), jobs_together=1)


def make_cheap(patch):
    """Run studies in this way, until a MonkeyPatch is undone."""
    for kind, function in FAKES.items():
        patch.setattr(kind, "run", function)
    patch.setattr(jobs.Train, "run_many", classmethod(lambda cls, works, run: [work.run(run) for work in works]))
    patch.setattr(jobs.NetworkWork, "watched", unwatched)
    patch.setattr(selection, "workers", lambda *_: nullcontext(WORKERS))
    patch.setattr(canvas, "save", lambda figure, path: write(path, digest(path.with_suffix(".csv").read_text())))
    patch.setattr(spread, "RESAMPLED", 20)
    patch.setattr(claim, "CLAIMS", {name: claim.CLAIMS[name] for name in ("R1", "R5", "D4", "C2", "S1")})
    patch.setattr(os, "fsync", lambda file: None)
    for name, figure in registry.FIGURES.items():
        patch.setitem(registry.FIGURES._found, name, replace(figure, draw=lambda numbers: Figure()))
    for name in ("learning", "sampling"):  # they would read real ensembles and models
        some = pd.DataFrame({"a": [1]})
        figure = replace(registry.FIGURES[name], numbers=lambda run, some=some: some, alt_text=lambda numbers: "")
        patch.setitem(registry.FIGURES._found, name, figure)
    patch.setattr(searches, "FIGURE", registry.FIGURES["search"])


@contextmanager
def unwatched():
    yield {}


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def sample(work, run):
    write(run / work.output, {**work.model_dump(), "numbers": [None]})


def open_worms(work, run):
    write(run / work.output, {**json.loads((run / work.source).read_text()), **work.model_dump()})


def search(work, run):
    rng = np.random.default_rng(seed_of(run, work))
    folder = run / work.output
    if not folder.exists():
        folder.mkdir(parents=True)
        (folder / "journal.log").write_text("trials")
    trials = synthetic_run.search(rng, 3)
    write(folder / "trials.json", trials)
    write(folder / "best.json", {"task": work.section, "architecture": work.architecture, **trials[0]})


def train(work, run):
    write(run / work.model, {**work.model_dump(mode="json"), "drawn": seed_of(run, work)})


def seed_of(run, work):
    """A number derived from the settings and the content of all files that they name."""
    settings = work.model_dump(mode="json")
    words = [word for word in json.dumps(settings).split('"') if (run / word).is_file()]
    return derived_seed(digest([settings, *((run / word).read_text() for word in words)]))


def evaluate(work, run):
    contenders = work.models if work.function is None else [work.function]
    rows = [row for path in contenders for test in work.tests for row in rows_of(run, work, path, *test)]
    (run / work.output).parent.mkdir(exist_ok=True)
    couplings = ["eta", "lam", "mu"]
    names = list(METRICS)
    at = names.index("shape") + 1
    pd.DataFrame(rows, columns=[*names[:at], *couplings, *names[at:]]).to_csv(run / work.output, index=False)


def rows_of(run, work, path, file, n):
    ensemble, section = json.loads((run / file).read_text()), load_study(run / "study.toml").tasks[work.section]
    if path == work.function:
        model = {"architecture": "", "augmentation": False, "n_training": section.n_training[-1], "instance": 0}
    else:
        model = json.loads((run / path).read_text())
    if model["architecture"] == "FL" and tuple(ensemble["shape"]) != section.shape:
        return
    task = TASKS[section.task]
    for number in ensemble["numbers"]:
        for target in task.target_names:
            rng = np.random.default_rng(derived_seed(path, digest(model), file, n, str(number), target))
            about = {name: model[name] for name in ("architecture", "augmentation", "n_training", "instance")}
            yield about | {
                **{"task": work.section, "family": work.family, "model": path, "n_parameters": 100},
                **{"theory": "phi4", "shape": shape_name(tuple(ensemble["shape"])), **ensemble["couplings"]},
                **{"n_worms": number, "configurations": 10, "target": target},
                **{name: rng.random() for name in list(METRICS)[list(METRICS).index("loss") :]},
            }


def means(configurations):
    """A function to be scored like a network."""
    raise NotImplementedError  # its scores are synthetic as well


def measure(work, run):
    for name, table in measured().items():
        (run / "measurements").mkdir(exist_ok=True)
        table.to_csv(run / "measurements" / f"{name}.csv", index=False)


@cache
def measured():
    return synthetic_run.tables().measurements


def model_cards(work, run):
    for section, found in work.models.items():
        for family, paths in found.items():
            name = f"{section}-{file_stem(family)}.safetensors"
            write(run / work.output / name, [(run / path).read_text() for path in paths])


FAKES = {
    jobs.Sample: sample,
    jobs.OpenWorms: open_worms,
    jobs.Search: search,
    jobs.Train: train,
    jobs.Evaluate: evaluate,
    jobs.MeasureNetworks: measure,
    jobs.ModelCards: model_cards,
}
