"""The tables of a run as data frames with typed columns, the only input of figures and claims.

``metrics.csv`` is in long format, one row per model, test set (and number of worms) and target;
``measurements/NAME.csv`` holds measurements on trained networks, and ``study.toml`` their training data. Every column
of the scores that is not in ``METRICS`` is a coupling, stored with all digits, so that couplings can be compared for
equality.

An empty cell is a missing value; a NaN loss is read as infinite, so that a failed network counts as the worst in a
median.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from gzip import BadGzipFile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fluxeq.errors import InputError
from fluxeq.lattice import shape_name
from fluxeq.study.section import Section
from fluxeq.study.study import Study, load_study

WAY_OUT = "run 'fluxeq reproduce' first"

_FAMILY = {"task": "str", "family": "str", "architecture": "str"}
_PROTOCOL = {"protocol": "str"}
_SITES = dict.fromkeys(("t", "x"), "int64")

_MODEL = {"augmentation": "bool", "n_training": "int64", "instance": "int64", "model": "str", "n_parameters": "Int64"}
METRICS = {
    **_FAMILY,
    **_PROTOCOL,
    **_MODEL,
    **{"theory": "str", "shape": "str", "n_worms": "Int64", "configurations": "int64", "target": "str"},
    **dict.fromkeys(
        ("loss", "loss_error", "mean", "truth", "truth_error", "bias", "bias_error", "accuracy"), "float64"
    ),
}
"""Columns of ``metrics.csv`` besides the couplings, which follow the shape; ``task`` is a section of the study."""

MEASUREMENTS = {
    "translation": {
        **_FAMILY,
        **{"augmentation": "bool", "instance": "int64", "n_parameters": "int64"},
        **{"translation_error": "float64", "stride": "Int64", "residual_error": "float64"},
    },
    "responses": {
        **_FAMILY,
        "instance": "int64",
        **dict.fromkeys(("accuracy", "positive", "negative", "selectivity"), "float64"),
    },
    "example": {
        "task": "str",
        **_SITES,
        **dict.fromkeys(("k_t", "k_x", "l_t", "l_x", "divergence", "worm_t", "worm_x"), "int64"),
    },
    "feature_maps": {**_FAMILY, "channel": "int64", **_SITES, "value": "float64", "selected": "bool"},
}
"""Columns of the tables in ``measurements``."""
REFERENCE = {"shape": "str", "target": "str", "value": "float64", "error": "float64", "source": "str"}
"""Columns of ``references/SECTION.csv`` besides the couplings: means that are independent of the test sets."""


@dataclass(frozen=True)
class Results:
    """A run folder: its study, scores and measurements, read on demand.

    All methods raise InputError if a file is missing or damaged.
    """

    run: Path
    protocol: str | None = None
    """Restricts ``families`` to one protocol; None for all. Tables are not restricted."""

    def of(self, protocol: str | None) -> "Results":
        """The results restricted to one protocol."""
        return replace(self, protocol=protocol)

    @cached_property
    def study(self) -> Study:
        """The study of the run."""
        path = self.run / "study.toml"
        if not path.is_file():
            raise InputError(f"{path}: no such file; {WAY_OUT}")
        return load_study(path)

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """The scores of every model on every test set."""
        return read_scores(scores_of(self.run))

    def measurement(self, name: str, task: str | None = None) -> pd.DataFrame:
        """Measurements on trained networks, by a name in ``MEASUREMENTS``, of one section or all."""
        path = self.run / "measurements" / f"{name}.csv"
        table = _read(path, MEASUREMENTS[name])
        return table if task is None else select(table, path.name, task=task)

    def reference(self, section: str) -> pd.DataFrame:
        """Independent means of the targets of a section, at all couplings and on all lattices."""
        return _read(self.run / "references" / f"{section}.csv", REFERENCE, further="float64")

    def section(self, name: str) -> Section:
        """A section of the study. Raises InputError if it does not exist."""
        if name not in self.study.tasks:
            raise InputError(f"{self.run / 'study.toml'}: the study has no section tasks.{name}")
        return self.study.tasks[name]

    def scores(self, section: str, **conditions: Any) -> pd.DataFrame:
        """The scores of a section. Raises InputError if there are none yet."""
        return select(self.metrics, task=section, **conditions)

    def largest(self, section: str, **conditions: Any) -> pd.DataFrame:
        """The scores for the largest training set."""
        return self.scores(section, n_training=self.section(section).n_training[-1], **conditions)

    def families(self, section: str, architecture: str | None = None, *, augmentation: bool | None = None) -> list[str]:
        """The names of the families of the protocol, optionally of one architecture, with or without augmentation."""
        return [
            name
            for name, family in self.section(section).families.items()
            if self.protocol in (None, family.protocol)
            and architecture in (None, family.architecture)
            and augmentation in (None, family.augmentation)
        ]

    def trained_at(self, section: str) -> dict[str, Any]:
        """Lattice and couplings of the first training ensemble, by column of the scores."""
        settings = self.section(section)
        return {"shape": shape_name(settings.shape), **settings.couplings, **settings.training[0]}


def scores_of(run: Path) -> Path:
    """The path of the score table of a run: ``metrics.csv``, or its compressed version in an archive."""
    path, archived = run / "metrics.csv", run / "metrics.csv.gz"
    return archived if archived.exists() and not path.exists() else path


def read_scores(path: Path, way_out: str = WAY_OUT) -> pd.DataFrame:
    """Read a table of scores. Raises InputError, with the way out, if it is invalid or empty."""
    table = _read(path, METRICS, further="float64", way_out=way_out)
    if not table["shape"].str.fullmatch(r"\d+(x\d+)*").all():
        raise InputError(f"{path}: invalid shape; {way_out}")
    return table.assign(loss=table["loss"].fillna(np.inf))


def select(table: pd.DataFrame, name: str = "metrics.csv", **conditions: Any) -> pd.DataFrame:
    """The rows in which every named column has the given value. Raises InputError if there are none."""
    rows = table
    for column, value in conditions.items():
        rows = rows[rows[column] == value]
    if rows.empty:
        asked = ", ".join(f"{column} = {value}" for column, value in conditions.items())
        raise InputError(f"{name}: no rows with {asked}; {WAY_OUT}, of a study that has them")
    return rows


def couplings_of(table: pd.DataFrame) -> pd.DataFrame:
    """The couplings in a table of scores, without empty columns."""
    return table.drop(columns=list(METRICS), errors="ignore").dropna(axis="columns", how="all")


def n_sites(shape: str) -> int:
    """The number of sites of a lattice such as 60x4."""
    return int(np.prod([int(extent) for extent in shape.split("x")]))


def _read(path: Path, columns: Mapping[str, str], further: str | None = None, way_out: str = WAY_OUT) -> pd.DataFrame:
    """Read a CSV file with at least these columns; others are allowed if their type ``further`` is given.

    Only an empty cell or nan is a missing value (NA could be an architecture); a text is never missing.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; {way_out}")
    try:
        table = pd.read_csv(path, dtype=dict(columns), keep_default_na=False, na_values=["", "nan"])
        missing = [name for name in columns if name not in table]
        others = [name for name in table if name not in columns] if further else []
        table = table if missing else table.astype(dict.fromkeys(others, further))
    except (ValueError, OverflowError, EOFError, BadGzipFile, zlib.error) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{path}: cannot be read ({reason}); {way_out}") from None
    if missing or table.empty:
        lacks = f"no column {', '.join(missing)}" if missing else "no rows"
        raise InputError(f"{path}: {lacks}; {way_out}")
    return table[[*columns, *others]].fillna({name: "" for name, kind in columns.items() if kind == "str"})
