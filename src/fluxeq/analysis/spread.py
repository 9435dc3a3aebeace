"""Scores of instances, and their spread.

The score of an instance is the mean over all targets and configurations of the selected test sets (not a mean of
means). Figures show, and most claims compare, the spread over the instances of a family. The uncertainty of a median
is estimated by the bootstrap over instances, for each family separately. Verified on tables with known means, and on
samples with known median.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import norm

from fluxeq.analysis.tables import n_sites, select

RESAMPLED = 2000
"""Number of bootstrap samples."""
CONFIDENCE = 0.95

SERIES = ["protocol", "family", "architecture", "augmentation"]


class Interval(NamedTuple):
    """The 95 % confidence interval of a statistic, from the bootstrap over instances."""

    low: float
    high: float

    def __str__(self) -> str:
        """In words; empty if it has no width."""
        low, high = (f"{end:.3g}" for end in self)
        return "" if low == high else f" [{low} ... {high}]"


def interval(statistic: Callable[..., np.ndarray], *samples: Sequence[float] | np.ndarray) -> Interval:
    """The interval of a statistic of samples; the statistic acts along the last axis.

    The seed is fixed, so equal scores have equal intervals.
    """
    rng = np.random.default_rng(0)
    arrays = [np.asarray(sample) for sample in samples]
    drawn = statistic(*(array[rng.integers(0, len(array), (RESAMPLED, len(array)))] for array in arrays))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], method="nearest")  # works for infinite losses, too
    return Interval(float(low), float(high))


def binomial_interval(share: Any, n: Any) -> Interval:
    """The 95 % interval of a probability, from the fraction of n independent trials (Wilson); numbers or arrays."""
    z = norm.ppf((1 + CONFIDENCE) / 2)
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return Interval(middle - half, middle + half)


def median(scores: np.ndarray) -> np.ndarray:
    """Medians along the last axis."""
    return np.median(scores, axis=-1)


def instance_scores(rows: pd.DataFrame, value: str, by: Sequence[str] = ()) -> pd.DataFrame:
    """The mean of ``value`` over all targets and configurations, per instance and value of the columns ``by``.

    The column ``configurations`` is the number averaged over, all targets together.
    """
    keys = list(dict.fromkeys([*SERIES, "n_training", "instance", *by]))
    totals = rows.assign(total=rows[value] * rows["configurations"])
    sums = totals.groupby(keys, sort=False)[["total", "configurations"]].sum(skipna=False)
    return sums.assign(**{value: sums["total"] / sums["configurations"]}).drop(columns="total").reset_index()


def spread(rows: pd.DataFrame, value: str, by: str) -> pd.DataFrame:
    """Lowest, highest, mean and median score over the instances of each family, for each value of ``by``.

    ``median_low`` and ``median_high`` are the interval of the median, ``test_low`` and ``test_high`` the binomial
    interval of a median accuracy from the number of test configurations. Rows are sorted by ``by`` (lattices by size),
    then by first appearance of the family.
    """
    grouped = instance_scores(rows, value, [by]).groupby([*SERIES, by], sort=False)
    groups = grouped[value]
    found = groups.agg(lowest="min", highest="max", mean="mean", median="median", instances="size")
    intervals = [interval(median, scores.to_numpy()) for _, scores in groups]
    found[["median_low", "median_high"]] = np.array(intervals)
    if value == "accuracy":
        n_targets = rows["target"].nunique() if "target" in rows else 1  # accuracies are not per target
        found["configurations"] = grouped["configurations"].max() // n_targets
        found[["test_low", "test_high"]] = np.array(binomial_interval(found["median"], found["configurations"])).T
    found = found.reset_index()
    found.insert(0, "quantity", value)
    return found.sort_values(by, kind="stable", key=sizes if by == "shape" else None, ignore_index=True)


def best_instance(rows: pd.DataFrame, trained_at: dict[str, Any]) -> pd.DataFrame:
    """All rows of the instance with the lowest loss on the training lattice at the training couplings."""
    scores = instance_scores(select(rows, **trained_at), "loss")
    return rows[rows["instance"] == scores.loc[scores["loss"].idxmin(), "instance"]]


def shapes(table: pd.DataFrame) -> list[str]:
    """The lattices in a table, smallest first."""
    return sorted(table["shape"].unique(), key=n_sites)


def sizes(column: pd.Series) -> pd.Series:
    """The number of sites of each lattice, as a sort key."""
    return column.map(n_sites)
