"""The scores of one section: those of a run, or of tables that ``fluxeq evaluate`` has made without one.

A run knows from its study what its networks were trained on. Of tables no more is known than is said beside them, and
the largest training set of each family counts.
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
    """A table of scores, and what its networks were trained on."""

    rows: pd.DataFrame
    final: pd.DataFrame
    """The rows of the largest training sets."""
    trained: Mapping[str, Sequence[Any]]
    """What the training has in columns of the table, as far as it is known: lattice, couplings, numbers of worms."""
    source: str = "metrics.csv"
    way_out: str = f"{WAY_OUT}, of a study that has them"

    def require(self, rows: pd.DataFrame, which: str) -> pd.DataFrame:
        """Some of the rows. Raises InputError that says which, if there are none."""
        if rows.empty:
            raise InputError(f"{self.source}: no rows {which}; {self.way_out}")
        return rows

    def having(self, rows: pd.DataFrame, column: str) -> pd.DataFrame:
        """Those with a value in a column. Raises InputError if there are none."""
        return self.require(rows[rows[column].notna()] if column in rows else rows[:0], f"with a value of {column}")

    def on_training_lattice(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Those on it, or on the only lattice that there is. Raises InputError if nobody knows which one it is."""
        shapes = self.trained.get("shape", rows["shape"].unique())
        if len(shapes) > 1:
            raise InputError(
                f"{self.source}: holds {', '.join(shapes)}; say with --shape on which of them the networks were trained"
            )
        return self.require(rows[rows["shape"].isin(shapes)], f"with shape = {shapes[0]}")


def of_run(run: Path, section: str) -> Scores:
    """Those of a section of a run. Raises InputError if it has none."""
    results = Results(run)
    settings = results.section(section)
    first, points = results.trained_at(section), [theory.couplings for theory in settings.training_points]
    trained = {name: [point[name] for point in points] for name in points[0]}
    trained |= {"shape": [first["shape"]], "n_worms": list(settings.n_worms)}
    return Scores(results.scores(section), results.final(section), trained)


def of_tables(files: Sequence[Path], task: str, shape: str | None = None) -> Scores:
    """Those of a task in some tables, of networks that were trained on a lattice, if that is known.

    Raises InputError if there are none, or one instance of a family stands for two models.
    """
    source, way_out = " and ".join(map(str, files)), "make them with 'fluxeq evaluate --output'"
    table = pd.concat([read_scores(path, way_out) for path in files], ignore_index=True).drop_duplicates()
    found = Scores(table, table, {"shape": [shape]} if shape else {}, source, way_out)
    rows = found.require(table[table["task"] == task], f"of task {task}")
    _require_one_model_each(rows)
    if shape:
        found.on_training_lattice(rows)
    functions = rows["architecture"] == ""  # which stand beside the networks of the largest training set
    rows = rows.assign(n_training=rows["n_training"].mask(functions, rows["n_training"].max()))
    largest = rows.groupby(SERIES)["n_training"].transform("max")
    return Scores(rows, rows[rows["n_training"] == largest], found.trained, source, way_out)


def _require_one_model_each(rows: pd.DataFrame) -> None:
    for (*_, instance), models in rows.groupby([*SERIES, "n_training", "instance"])["model"]:
        if len(several := models.unique()) > 1:
            raise InputError(
                f"{several[0]} and {several[1]}: both are instance {instance} of one family; "
                "evaluate one of them with another --family"
            )
