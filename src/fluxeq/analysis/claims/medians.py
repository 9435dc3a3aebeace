"""Losses and accuracies of the families that a claim compares: medians over instances, with their intervals, in words.

The reference of a protocol is its first EQ family without augmentation; it is compared with every family of ST and FL.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from fluxeq.analysis.claims.bound import Bound
from fluxeq.analysis.spread import Interval, instance_scores, interval, median, sizes
from fluxeq.analysis.tables import Results, select
from fluxeq.errors import InputError
from fluxeq.theory import written

REFERENCE, BROKEN = "EQ", ("ST", "FL")
"""The architecture with the symmetry, and those that break it."""


def reference(results: Results, section: str) -> str:
    """The family that the others are compared with. Raises InputError if there is none."""
    return _some(results, section, REFERENCE, augmentation=False)[0]


def others(
    results: Results, section: str, architectures: Sequence[str] = BROKEN, *, augmentation: bool = False
) -> list[str]:
    """All families of the architectures. Raises InputError if one of these has none."""
    return [name for found in architectures for name in _some(results, section, found, augmentation=augmentation)]


def _some(results: Results, section: str, architecture: str, *, augmentation: bool) -> list[str]:
    found = results.families(section, architecture, augmentation=augmentation)
    if not found:
        augmented = "augmented " if augmentation else ""
        raise InputError(f"study.toml: the {section} has no {augmented}{architecture} of this protocol")
    return found


def losses(rows: pd.DataFrame, family: str) -> np.ndarray:
    """The losses of all instances of a family. Raises InputError if it has no rows."""
    return instance_scores(select(rows, family=family), "loss")["loss"].to_numpy()


class Factor(NamedTuple):
    """How many times larger one loss is than another."""

    value: float
    interval: Interval
    n: int
    """Instances of the smaller of the two samples."""

    def __str__(self) -> str:
        return f"{self.value:.3g}{self.interval}"

    def bound(self, name: str, *, least: float = -np.inf, most: float = np.inf) -> Bound:
        """What a claim wants of it."""
        return Bound(name, self.interval, self.n, least, most, self.value)


def factor(larger: np.ndarray, smaller: np.ndarray) -> Factor:
    """The ratio of two medians over instances; infinite over zero, and not a number where both are 0 or infinite."""
    return Factor(float(_ratio(larger, smaller)), interval(_ratio, larger, smaller), min(len(larger), len(smaller)))


def _ratio(larger: np.ndarray, smaller: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return median(larger) / median(smaller)


class Scores(NamedTuple):
    """What the instances of some families reach at each of some places, as couplings, lattices or numbers of worms."""

    table: pd.DataFrame
    """A row for each place; a column for each instance of each family, the family first."""

    @classmethod
    def of(cls, rows: pd.DataFrame, value: str, by: str, families: Sequence[str]) -> "Scores":
        """At every place that all of the families were tested at. Raises InputError if there is none."""
        scores = pd.concat(instance_scores(select(rows, family=name), value, [by]) for name in families)
        table = scores.pivot(index=by, columns=["family", "instance"], values=value)
        table = table[list(families)].dropna().sort_index(key=sizes if by == "shape" else None)
        if table.empty:
            raise InputError(f"{' and '.join(families)} were tested at no common {by}")
        return cls(table)

    def __str__(self) -> str:
        """The places, then the medians of each family with their intervals."""
        places = (written(place) if isinstance(place, float) else str(place) for place in self.table.index)
        listed = (f"{name} {', '.join(self._listed(name))}" for name in self.families)
        return f"{', '.join(places)}: {'; '.join(listed)}"

    @property
    def families(self) -> list[str]:
        """Their names."""
        return list(self.table.columns.unique("family"))

    def bound(self, name: str, statistic: Callable[..., np.ndarray], *families: str, **wanted: Any) -> Bound:
        """What a claim wants of a statistic of medians ``(..., places)``, one array for each family; see ``Bound``."""
        tables = [self.table[family].to_numpy() for family in families]

        def of_instances(*drawn: np.ndarray) -> np.ndarray:
            pairs = zip(tables, drawn, strict=True)
            return statistic(*(np.median(table.T[which], axis=-2) for table, which in pairs))

        every = [np.arange(table.shape[1]) for table in tables]
        value, least_of = float(of_instances(*every)), min(map(len, every))
        return Bound(name, interval(of_instances, *every), least_of, **wanted, value=value)

    def _listed(self, family: str) -> list[str]:
        scores = self.table[family].to_numpy()
        return [f"{np.median(row):.4g}{interval(median, row)}" for row in scores]
