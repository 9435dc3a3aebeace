"""Medians over instances of losses and accuracies, with intervals, for the claims that compare families.

The reference of a protocol is its first EQ family without augmentation; it is compared with all families of ST and FL.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from fluxeq.analysis.claims.bound import Bound
from fluxeq.analysis.spread import instance_scores, interval, median, sizes
from fluxeq.analysis.tables import Results, select
from fluxeq.errors import InputError
from fluxeq.theory import coupling_text

REFERENCE, BROKEN = "EQ", ("ST", "FL")
"""The symmetric architecture, and those that break the symmetry."""


def reference(results: Results, section: str) -> str:
    """The reference family. Raises InputError if there is none."""
    return _some(results, section, REFERENCE, augmentation=False)[0]


def others(
    results: Results, section: str, architectures: Sequence[str] = BROKEN, *, augmentation: bool = False
) -> list[str]:
    """All families of the architectures. Raises InputError if an architecture has none."""
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


def factor(name: str, larger: np.ndarray, smaller: np.ndarray, **wanted: float) -> Bound:
    """The bound on the ratio of two medians over instances; infinite over zero, and NaN if both are 0 or infinite."""
    n, value = min(len(larger), len(smaller)), float(_ratio(larger, smaller))
    return Bound(name, interval(_ratio, larger, smaller), n, **wanted, value=value)


def _ratio(larger: np.ndarray, smaller: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return median(larger) / median(smaller)


class Scores(NamedTuple):
    """Scores of the instances of families as a function of a coupling, the lattice or the number of worms."""

    table: pd.DataFrame
    """One row per value; one column per instance of each family, the family first."""

    @classmethod
    def of(cls, rows: pd.DataFrame, value: str, by: str, families: Sequence[str]) -> "Scores":
        """Scores at all values at which all families were tested. Raises InputError if there is none."""
        scores = pd.concat(instance_scores(select(rows, family=name), value, [by]) for name in families)
        table = scores.pivot(index=by, columns=["family", "instance"], values=value)
        table = table[list(families)].dropna().sort_index(key=sizes if by == "shape" else None)
        if table.empty:
            raise InputError(f"{' and '.join(families)} were tested at no common {by}")
        return cls(table)

    def __str__(self) -> str:
        """The values, then the medians of each family with their intervals."""
        places = (coupling_text(place) if isinstance(place, float) else str(place) for place in self.table.index)
        listed = (f"{name} {', '.join(self._listed(name))}" for name in self.families)
        return f"{', '.join(places)}: {'; '.join(listed)}"

    @property
    def families(self) -> list[str]:
        """Names of the families."""
        return list(self.table.columns.unique("family"))

    def bound(self, name: str, statistic: Callable[..., np.ndarray], *families: str, **wanted: Any) -> Bound:
        """The bound on a statistic of medians ``(..., values)``, one array per family; see ``Bound``."""
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
