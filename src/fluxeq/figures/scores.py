"""Scores of instances, and their spread.

An instance's score is the exact mean over all configurations of the chosen test sets (not a mean of means); the spread
over the instances of an architecture is what the figures draw and most claims compare. Verified on tables whose means
are known.
"""

from collections.abc import Sequence

import pandas as pd

from fluxeq.figures.tables import n_sites, select

SERIES = ["architecture", "augmentation"]
FLATTENING = "FL"
"""The architecture that is bound to the lattice it was trained on, and has no place where sizes are compared."""


def instance_scores(rows: pd.DataFrame, value: str, by: Sequence[str] = ()) -> pd.DataFrame:
    """The mean of ``value`` over all configurations, for each instance and each combination of the columns ``by``."""
    keys = list(dict.fromkeys([*SERIES, "n_training", "instance", *by]))
    totals = rows.assign(total=rows[value] * rows["configurations"])
    sums = totals.groupby(keys, sort=False)[["total", "configurations"]].sum(skipna=False)
    return (sums["total"] / sums["configurations"]).rename(value).reset_index()


def spread(rows: pd.DataFrame, value: str, by: str) -> pd.DataFrame:
    """Lowest, highest, mean and median score over the instances of each architecture, for each value of ``by``.

    Rows are sorted by ``by`` (lattices by size), and within by first appearance of the architecture.
    """
    groups = instance_scores(rows, value, [by]).groupby([*SERIES, by], sort=False)[value]
    found = groups.agg(lowest="min", highest="max", mean="mean", median="median", instances="size").reset_index()
    found.insert(0, "quantity", value)
    return found.sort_values(by, kind="stable", key=sizes if by == "shape" else None, ignore_index=True)


def loss_and_accuracy(rows: pd.DataFrame, by: str) -> pd.DataFrame:
    """The spread of both metrics of a task on worms, one below the other."""
    return pd.concat([spread(rows, value, by) for value in ("loss", "accuracy")], ignore_index=True)


def any_size(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of architectures that are not bound to one lattice."""
    return rows[rows["architecture"] != FLATTENING]


def best_instance(rows: pd.DataFrame, shape: str, mu: float) -> pd.DataFrame:
    """All rows of the instance with the lowest loss on one lattice at one mu."""
    scores = instance_scores(select(rows, shape=shape, mu=mu), "loss")
    return rows[rows["instance"] == scores.loc[scores["loss"].idxmin(), "instance"]]


def sizes(shapes: pd.Series) -> pd.Series:
    """The number of sites of each lattice, to sort by."""
    return shapes.map(n_sites)
