"""Scores of instances, and their spread.

An instance's score is the exact mean over all configurations of the chosen test sets (not a mean of means); the spread
over the instances of an architecture is what the figures draw and most claims compare. How far a median is known from
so few instances is told by the bootstrap: instances drawn again with replacement, each architecture by itself. Verified
on tables whose means are known, and on samples of a known median.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from fluxeq.analysis.tables import WAY_OUT, n_sites, select
from fluxeq.errors import InputError

RESAMPLED = 2000
"""Bootstrap samples."""
CONFIDENCE = 0.95

SERIES = ["architecture", "augmentation"]
FLATTENING = "FL"
"""The architecture that is bound to the lattice it was trained on, and has no place where sizes are compared."""


class Interval(NamedTuple):
    """Where a statistic lies with 95 % confidence, by the bootstrap over instances."""

    low: float
    high: float


def interval(statistic: Callable[..., np.ndarray], *samples: Sequence[float] | np.ndarray) -> Interval:
    """The interval of a statistic of some samples; it takes arrays of samples along their last axis.

    The seed is fixed, so that the same scores have the same interval.
    """
    rng = np.random.default_rng(0)
    arrays = [np.asarray(sample, dtype=np.float64) for sample in samples]
    drawn = statistic(*(array[rng.integers(0, len(array), (RESAMPLED, len(array)))] for array in arrays))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], method="nearest")  # which also takes infinite losses
    return Interval(float(low), float(high))


def median(scores: np.ndarray) -> np.ndarray:
    """Medians along the last axis."""
    return np.median(scores, axis=-1)


def ratio_of_medians(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Medians of the first samples over those of the second, along the last axis; infinite over zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return median(scores) / median(others)


def instance_scores(rows: pd.DataFrame, value: str, by: Sequence[str] = ()) -> pd.DataFrame:
    """The mean of ``value`` over all configurations, for each instance and each combination of the columns ``by``."""
    keys = list(dict.fromkeys([*SERIES, "n_training", "instance", *by]))
    totals = rows.assign(total=rows[value] * rows["configurations"])
    sums = totals.groupby(keys, sort=False)[["total", "configurations"]].sum(skipna=False)
    return (sums["total"] / sums["configurations"]).rename(value).reset_index()


def spread(rows: pd.DataFrame, value: str, by: str) -> pd.DataFrame:
    """Lowest, highest, mean and median score over the instances of each architecture, for each value of ``by``.

    ``median_low`` and ``median_high`` are the interval of the median. Rows are sorted by ``by`` (lattices by size), and
    within by first appearance of the architecture.
    """
    groups = instance_scores(rows, value, [by]).groupby([*SERIES, by], sort=False)[value]
    found = groups.agg(lowest="min", highest="max", mean="mean", median="median", instances="size")
    intervals = [interval(median, scores.to_numpy()) for _, scores in groups]
    found[["median_low", "median_high"]] = np.array(intervals)
    found = found.reset_index()
    found.insert(0, "quantity", value)
    return found.sort_values(by, kind="stable", key=sizes if by == "shape" else None, ignore_index=True)


def loss_and_accuracy(rows: pd.DataFrame, by: str) -> pd.DataFrame:
    """The spread of both metrics of a task on worms, one below the other."""
    return pd.concat([spread(rows, value, by) for value in ("loss", "accuracy")], ignore_index=True)


def any_size(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of architectures that are not bound to one lattice. Raises InputError if there are none."""
    found = rows[rows["architecture"] != FLATTENING]
    if found.empty:
        raise InputError(f"metrics.csv: no rows of an architecture other than {FLATTENING}; {WAY_OUT}")
    return found


def best_instance(rows: pd.DataFrame, shape: str, mu: float) -> pd.DataFrame:
    """All rows of the instance with the lowest loss on one lattice at one mu."""
    scores = instance_scores(select(rows, shape=shape, mu=mu), "loss")
    return rows[rows["instance"] == scores.loc[scores["loss"].idxmin(), "instance"]]


def sizes(shapes: pd.Series) -> pd.Series:
    """The number of sites of each lattice, to sort by."""
    return shapes.map(n_sites)
