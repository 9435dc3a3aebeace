"""Medians over the instances of architectures, and the ratios of two, with their intervals, in words."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from fluxeq.analysis.spread import Interval, instance_scores, interval, median, sizes, spread
from fluxeq.analysis.tables import Results, select
from fluxeq.errors import InputError
from fluxeq.theory import written


def compared(results: Results, section: str, **conditions: Any) -> pd.DataFrame:
    """Rows of the first families of a section, trained on its largest training set. InputError if there are none."""
    return results.first_families(section, results.final(section, **conditions))


def losses(rows: pd.DataFrame, architecture: str, *, augmentation: bool = False) -> np.ndarray:
    """The losses of all instances of an architecture. Raises InputError if it has no rows."""
    chosen = select(rows, architecture=architecture, augmentation=augmentation)
    return instance_scores(chosen, "loss")["loss"].to_numpy()


class Factor(NamedTuple):
    """How many times larger one loss is than another."""

    value: float
    interval: Interval

    def __str__(self) -> str:
        return f"{self.value:.3g}{self.interval}"


def factor(larger: np.ndarray, smaller: np.ndarray) -> Factor:
    """The ratio of two medians over instances; infinite over zero, and not a number where both are 0 or infinite."""
    return Factor(float(_ratio(larger, smaller)), interval(_ratio, larger, smaller))


def _ratio(larger: np.ndarray, smaller: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return median(larger) / median(smaller)


class OverInstances(NamedTuple):
    """Medians over instances and their intervals, in words: a row for each place, a column for each architecture."""

    medians: pd.DataFrame
    intervals: pd.DataFrame

    def __str__(self) -> str:
        """The places, then the medians of each architecture with their intervals."""
        listed = self.medians.map("{:.4g}".format) + self.intervals
        values = (f"{architecture} {', '.join(listed[architecture])}" for architecture in listed)
        places = (written(place) if isinstance(place, float) else str(place) for place in listed.index)
        return f"{', '.join(places)}: {'; '.join(values)}"


def over_instances(rows: pd.DataFrame, value: str, by: str, architectures: Sequence[str]) -> OverInstances:
    """What the instances of each architecture reach, at each value of ``by`` that all of them have.

    Raises InputError if an architecture has no rows, or they have none in common.
    """
    found = pd.concat(spread(select(rows, architecture=name), value, by) for name in architectures)
    ends = zip(found["median_low"], found["median_high"], strict=True)
    found["interval"] = [str(Interval(low, high)) for low, high in ends]
    medians, intervals = (found.pivot(index=by, columns="architecture", values=name) for name in ("median", "interval"))
    medians = medians[list(architectures)].dropna().sort_index(key=sizes if by == "shape" else None)
    if medians.empty:
        raise InputError(f"{' and '.join(architectures)} were tested at no common {by}")
    return OverInstances(medians, intervals.reindex_like(medians))
