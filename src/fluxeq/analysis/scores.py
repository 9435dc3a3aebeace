"""The scores of one section, from a run, or from tables of ``fluxeq evaluate`` without a run.

The study of a run specifies the training of its networks. For tables only the lattice of the training can be given, and
the largest training set of each family is used.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fluxeq.analysis.spread import SERIES
from fluxeq.analysis.tables import WAY_OUT, Results, read_scores
from fluxeq.errors import InputError


@dataclass(frozen=True)
class Scores:
    """A table of scores, and the training of its networks."""

    rows: pd.DataFrame
    largest: pd.DataFrame
    """The rows of the largest training sets."""
    trained: Mapping[str, Sequence[Any]]
    """Training values of columns of the table, as far as known: lattice, couplings, numbers of worms."""
    source: str = "metrics.csv"
    way_out: str = f"{WAY_OUT}, of a study that has them"

    def require(self, rows: pd.DataFrame, which: str) -> pd.DataFrame:
        """Return the rows. Raises InputError with their description ``which`` if there are none."""
        if rows.empty:
            raise InputError(f"{self.source}: no rows {which}; {self.way_out}")
        return rows

    def having(self, rows: pd.DataFrame, column: str) -> pd.DataFrame:
        """The rows with a value in a column. Raises InputError if there are none."""
        return self.require(rows[rows[column].notna()] if column in rows else rows[:0], f"with a value of {column}")

    def on_training_lattice(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows on the training lattice, or on the only lattice. Raises InputError if it is ambiguous."""
        shapes = self.trained.get("shape", rows["shape"].unique())
        if len(shapes) > 1:
            raise InputError(
                f"{self.source}: has lattices {', '.join(shapes)}; select the training lattice with --shape"
            )
        return self.require(rows[rows["shape"].isin(shapes)], f"with shape = {shapes[0]}")


def of_run(run: Path, section: str) -> Scores:
    """The scores of a section of a run. Raises InputError if there are none."""
    results = Results(run)
    settings = results.section(section)
    first, points = results.trained_at(section), [theory.couplings for theory in settings.training_points]
    trained = {name: [point[name] for point in points] for name in points[0]}
    trained |= {"shape": [first["shape"]], "n_worms": list(settings.n_worms)}
    return Scores(results.scores(section), results.largest(section), trained)


def of_tables(files: Sequence[Path], task: str, shape: str | None = None) -> Scores:
    """The scores of a task in some tables; ``shape`` is the lattice of the training, if known.

    Raises InputError if there are none, or if two models are the same instance of a family.
    """
    source, way_out = " and ".join(map(str, files)), "make them with 'fluxeq evaluate --output'"
    table = pd.concat([read_scores(path, way_out) for path in files], ignore_index=True).drop_duplicates()
    found = Scores(table, table, {"shape": [shape]} if shape else {}, source, way_out)
    rows = found.require(table[table["task"] == task], f"of task {task}")
    _require_one_model_each(rows)
    if shape:
        found.on_training_lattice(rows)
    functions = rows["architecture"] == ""  # shown with the networks of the largest training set
    rows = rows.assign(n_training=rows["n_training"].mask(functions, rows["n_training"].max()))
    largest = rows.groupby(SERIES)["n_training"].transform("max")
    return Scores(rows, rows[rows["n_training"] == largest], found.trained, source, way_out)


def _require_one_model_each(rows: pd.DataFrame) -> None:
    for (*_, instance), models in rows.groupby([*SERIES, "n_training", "instance"])["model"]:
        if len(several := models.unique()) > 1:
            raise InputError(
                f"{several[0]} and {several[1]}: both are instance {instance} of the same family; "
                "evaluate one of them with another --family"
            )
