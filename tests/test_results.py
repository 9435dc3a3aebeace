"""Archived results: the README agrees with the files, and the shipped networks work."""

import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

import fluxeq
from fluxeq.analysis import tables
from fluxeq.analysis.claims import judge
from fluxeq.nets.architecture import takes
from fluxeq.system.files import read_json
from fluxeq.training.evaluation import predict
from fluxeq.training.models import load_model
from verification.faults.table import as_text

ROOT = Path(__file__).parent.parent
RUNS = sorted(path.parent for path in (ROOT / "results").glob("*/metrics.csv.gz"))
MODELS = sorted((ROOT / "models").glob("*.safetensors"))

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors


def test_the_readme_says_what_the_results_say():
    keep = runpy.run_path(str(ROOT / "results" / "keep.py"))
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert keep["with_claims"](text, ROOT / "results") == text
    assert keep["with_claims"](text.replace("| holds |", "| hopes |"), ROOT / "results") == text


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_claims_are_those_of_the_tables(run):
    """Verdicts follow from the archived tables."""
    kept = json.loads((run / "claims.json").read_text())
    found = [(claim.id, claim.protocol, claim.verdict) for claim in judge(run)]
    assert found == [(claim["id"], claim["protocol"], claim["verdict"]) for claim in kept]


def test_what_architecture_says_to_open_is_there():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    table = text.partition("## To change X, open Y")[2].partition("## Decisions")[0]
    named = re.findall(r"`([a-z_/]+\.py|[a-z_]+/)`", table)
    assert len(named) > 25
    rooms = ROOT / "src" / "fluxeq"
    for name in named:
        assert (rooms / name).exists() or any(rooms.glob(f"*/{name}")) or any(rooms.glob(f"*/*/{name}")), name


def test_a_kept_run_has_its_parts():
    finished = {run for run in RUNS if all(n["done"] == n["jobs"] for n in read_json(run / "status.json").values())}
    assert {run.name for run in finished} >= {"quick", "laptop"}
    for run in RUNS:
        n_figures = len(list((run / "figures").glob("*.png")))
        assert n_figures == len(list((run / "figures").glob("*.csv")))
        assert n_figures > 10 or run not in finished
        assert read_json(run / "provenance.json")["seconds_of_work"]
        assert tables.Results(run).study.name == run.name


def test_the_documents_show_what_was_tried():
    """The table of faults, with at least 5000 cases."""
    path, text = ROOT / "results" / "verification" / "faults.json", (ROOT / "docs" / "how-to" / "faults.md").read_text()
    shown = text.partition("<!-- faults -->\n")[2].partition("<!-- end of faults -->")[0]
    assert shown.strip() == as_text(path)
    assert sum(row["tried"] for row in read_json(path)) >= 5000


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_shipped_network_predicts(path):
    """It has a card, and on its training lattice it is far better than the mean."""
    model, card = load_model(path), path.with_suffix(".md").read_text()
    for part in (path.stem, "training data", "validation loss", "## Test", "## Limits", "fluxeq predict"):
        assert part in card
    shape = model.description.shape
    made = fluxeq.sample(fluxeq.Theory(4.01, 1, 1.05), shape, 40, chains=8, seed=99)
    values = predict(model, made.configurations)
    assert values.shape == (40, len(model.task.targets))
    assert np.isfinite(values).all()
    assert takes(model.config, shape)
    if model.description.task == "regression":
        truth = np.stack([made.n, made.phi2], axis=1)
        assert (np.mean((values - truth) ** 2, axis=0) < 0.1 * truth.var(axis=0)).all()


def test_all_networks_ship():
    """Three tasks, the five families with the same layers, in a few hundred kB."""
    assert len(MODELS) == 15
    assert sum(path.stat().st_size for path in MODELS) < 500_000
