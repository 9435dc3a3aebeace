"""Colour, marker and line style of each family, the same in all figures.

Colours are from the colour-blind-safe palette of Okabe and Ito; markers and lines differ, for print in grey.
"""

import itertools
from typing import NamedTuple

import pandas as pd


class Style(NamedTuple):
    """Colour, marker and line style of a family."""

    colour: str
    marker: str
    line: str | tuple[int, tuple[int, ...]] = "-"


KNOWN = {
    "EQ": (Style("#0072B2", "o"), Style("#56B4E9", "P", (0, (8, 2)))),
    "ST": (Style("#D55E00", "s", "--"), Style("#CC79A7", "D", "-."), Style("#E69F00", "v", (0, (4, 1, 1, 1, 1, 1)))),
    "FL": (Style("#009E73", "^", ":"),),
}
"""Looks of the first families of an architecture, with or without augmentation."""
FURTHER = (
    Style("#000000", "X", (0, (1, 3))),
    Style("#999999", "*", (0, (5, 4))),
    Style("#8C6D31", "p", (0, (9, 4))),
    Style("#882255", "<", (0, (3, 3))),
    Style("#332288", ">", (0, (7, 1, 1, 1))),
    Style("#6F7B00", "h", (0, (2, 1))),
)
"""Looks of all others, in turn."""


def styles_of(numbers: pd.DataFrame) -> dict[str, Style]:
    """The look of each family of one protocol in the numbers of a figure, those without augmentation first."""
    families = numbers[["family", "architecture", "augmentation"]].drop_duplicates()
    families = families.sort_values("augmentation", kind="stable")
    known = {kind: iter(KNOWN.get(kind[0], ())) for kind in itertools.product(families["architecture"], (False, True))}
    further = itertools.cycle(FURTHER)
    return {
        family: next(known[architecture, augmentation], None) or next(further)
        for family, architecture, augmentation in families.itertuples(index=False, name=None)
    }


def looks_of_architectures(numbers: pd.DataFrame) -> dict[str, Style]:
    """The look of each architecture in a table without families."""
    return styles_of(numbers.assign(family=numbers["architecture"], augmentation=False))
