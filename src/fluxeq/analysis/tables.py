"""The tables of a run as data frames with typed columns: all that the figures and the claims know of it.

Couplings are written and read with all their digits: two are the same if they are equal.

``metrics.csv`` has one row per model and test set, ``measurements/NAME.csv`` what was measured on trained networks, and
``study.toml`` says on what the networks were trained. An empty cell is a missing value; a loss that is not a number is
infinite, so that a network that failed counts as the worst one and does not drop out of a median.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fluxeq.errors import InputError

WAY_OUT = "run 'fluxeq reproduce' first"

METRICS = {
    "group": "str",
    "task": "str",
    "architecture": "str",
    "augmentation": "bool",
    "n_training": "int64",
    "instance": "int64",
    "model": "str",
    "n_parameters": "int64",
    "shape": "str",
    "eta": "float64",
    "lam": "float64",
    "mu": "float64",
    "n_worms": "Int64",
    "configurations": "int64",
    "loss": "float64",
    "loss_error": "float64",
    "accuracy": "float64",
    "loss_n": "float64",
    "loss_phi2": "float64",
    "mean_n": "float64",
    "mean_phi2": "float64",
    "true_n": "float64",
    "true_n_error": "float64",
    "true_phi2": "float64",
    "true_phi2_error": "float64",
}
"""Columns of ``metrics.csv``; group is "study" or "zhou", the network of Zhou et al."""

_SITES = dict.fromkeys(("t", "x"), "int64")
_NETWORK = {"task": "str", "architecture": "str", "augmentation": "bool", "instance": "int64", "n_parameters": "int64"}

MEASUREMENTS = {
    "translation": {**_NETWORK, "translation_error": "float64", "stride": "Int64", "residual_error": "float64"},
    "responses": {
        "architecture": "str",
        "instance": "int64",
        **dict.fromkeys(("accuracy", "positive", "negative", "selectivity"), "float64"),
    },
    "example": {
        **_SITES,
        **dict.fromkeys(("k_t", "k_x", "l_t", "l_x", "divergence", "worm_t", "worm_x"), "int64"),
    },
    "feature_maps": {"architecture": "str", "channel": "int64", **_SITES, "value": "float64", "selected": "bool"},
}
"""Columns of the tables in ``measurements``."""


def metrics(run: Path) -> pd.DataFrame:
    """How every model did on every test set. Raises InputError if the run has no such table, or not a whole one."""
    path = run / "metrics.csv"
    table = _read(path, METRICS)
    if not table["shape"].str.fullmatch(r"\d+(x\d+)*").all():
        raise InputError(f"{path}: a shape in it is none; {WAY_OUT}")
    return table.assign(loss=table["loss"].fillna(np.inf))


def measurement(run: Path, name: str) -> pd.DataFrame:
    """What was measured on trained networks under one of the names in ``MEASUREMENTS``; InputError as for metrics."""
    return _read(run / "measurements" / f"{name}.csv", MEASUREMENTS[name])


def training_shape(run: Path, task: str) -> str:
    """The lattice on which the networks of a task were trained, as in the tables: 60x4."""
    return "x".join(str(int(extent)) for extent in _study(run, task, "shape"))


def training_mu(run: Path) -> float:
    """The chemical potential at which the networks of the regression were trained."""
    return float(_study(run, "regression", "mu"))


def training_sizes(run: Path) -> list[int]:
    """The sizes of the training sets of the regression, rising."""
    return [int(n) for n in _study(run, "regression", "n_training")]


def study_name(run: Path) -> str:
    """The name of the study that a run is of."""
    return str(_study(run, "name"))


def select(table: pd.DataFrame, **conditions: Any) -> pd.DataFrame:
    """The rows in which every named column has the given value. Raises InputError if there are none."""
    rows = table
    for column, value in conditions.items():
        rows = rows[rows[column] == value]
    if rows.empty:
        asked = ", ".join(f"{column} = {value}" for column, value in conditions.items())
        raise InputError(f"metrics.csv: no rows with {asked}; {WAY_OUT}, of a study that has them")
    return rows


def final(run: Path, table: pd.DataFrame, task: str, **conditions: Any) -> pd.DataFrame:
    """Rows of the scores of a run that are of networks trained on the largest training set of its study.

    Raises InputError if there are none, as in a run that has not come to them yet.
    """
    rows = select(table, group="study", task=task)
    sizes = _study(run, task).get("n_training", rows["n_training"])
    return select(rows, task=task, n_training=max(map(int, sizes)), **conditions)


def require_searches(run: Path, task: str) -> None:
    """Raise InputError if the study gives networks to a task, so that no search has chosen them."""
    if given := _study(run, task).get("networks"):
        raise InputError(f"{run / 'study.toml'}: gives the {task} its networks of {', '.join(given)}, without a search")


def n_sites(shape: str) -> int:
    """The number of sites of a lattice such as 60x4, by which sizes are ordered."""
    return int(np.prod([int(extent) for extent in shape.split("x")]))


def shapes(table: pd.DataFrame) -> list[str]:
    """The lattices in a table, smallest first."""
    return sorted(table["shape"].unique(), key=n_sites)


def _study(run: Path, *keys: str) -> Any:
    """An entry of the study file. Raises InputError if there is none."""
    path = run / "study.toml"
    try:
        entry: Any = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        for key in keys:
            entry = entry[key]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {WAY_OUT}") from None
    except (ValueError, KeyError) as error:
        raise InputError(f"{path}: not the study file of a run, {'.'.join(keys)} cannot be read ({error})") from None
    return entry


def _read(path: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    """A CSV file with at least these columns; only an empty cell or nan is missing (NA could be an architecture)."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; {WAY_OUT}")
    try:
        table = pd.read_csv(path, dtype=dict(columns), keep_default_na=False, na_values=["", "nan"])
    except (ValueError, OverflowError) as error:
        raise InputError(f"{path}: cannot be read ({str(error).splitlines()[0]}); {WAY_OUT}") from None
    missing = [name for name in columns if name not in table]
    if missing or table.empty:
        lacks = f"no column {', '.join(missing)}" if missing else "no rows"
        raise InputError(f"{path}: {lacks}; {WAY_OUT}")
    return table[list(columns)]
