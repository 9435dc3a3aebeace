"""Bands from the lowest to the highest instance, a dashed line for the mean and a continuous one for the median.

A darker band is where the median lies with 95 % confidence (bootstrap over the instances).

Along a number the band is continuous; lattices are categories, so that each has a box of its own, and one that an
architecture cannot take stays empty. Colours are those of Okabe and Ito, distinct for the colour-blind; each
series also has its own marker.
"""

import itertools
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, NullLocator

from fluxeq.analysis.spread import SERIES
from fluxeq.theory import written


class Look(NamedTuple):
    """How a family is drawn."""

    colour: str
    marker: str


KNOWN: dict[tuple[str, bool], Look] = {
    ("EQ", False): Look("#0072B2", "o"),
    ("ST", False): Look("#D55E00", "s"),
    ("FL", False): Look("#009E73", "^"),
    ("ST", True): Look("#CC79A7", "D"),
    ("FL", True): Look("#E69F00", "v"),
}
"""Of the first family of an architecture, without and with augmentation."""
FURTHER = (Look("#56B4E9", "P"), Look("#000000", "X"), Look("#999999", "*"), Look("#8C6D31", "p"))
"""For all others, in turn."""

BAND, INNER, EDGE = 0.16, 0.28, 0.45
"""Opacity of bands, of that of the median, and of the line from the lowest to the highest instance at each point."""
BOXES = 0.7
"""The share of a category's width that its boxes take."""

MOST_DETAIL = 0.98
"""An axis of accuracies begins here or lower: smaller differences are not worth a picture."""


def looks_of(numbers: pd.DataFrame) -> dict[str, Look]:
    """The look of each family in the numbers of a figure, those without augmentation first."""
    families = numbers[SERIES].drop_duplicates().sort_values("augmentation", kind="stable")
    known, further = dict(KNOWN), itertools.cycle(FURTHER)
    return {
        family: known.pop(which) if (which := (architecture, augmentation)) in known else next(further)
        for family, architecture, augmentation in families.itertuples(index=False, name=None)
    }


def draw_bands(axes: Axes, numbers: pd.DataFrame, x: str, looks: dict[str, Look]) -> None:
    """Draw all families against a number in the column ``x``."""
    for family in looks_of(numbers):
        rows, look = _rows(numbers, family), looks[family]
        at, colour = rows[x].to_numpy(dtype=float), look.colour
        axes.fill_between(at, rows["lowest"], rows["highest"], color=colour, alpha=BAND, linewidth=0)
        axes.fill_between(at, rows["median_low"], rows["median_high"], color=colour, alpha=INNER, linewidth=0)
        axes.vlines(at, rows["lowest"], rows["highest"], color=colour, alpha=EDGE, linewidth=0.8)
        axes.plot(at, rows["mean"], color=colour, linestyle="--", linewidth=1)
        axes.plot(at, rows["median"], color=colour, marker=look.marker)


def draw_sizes(axes: Axes, numbers: pd.DataFrame, looks: dict[str, Look]) -> None:
    """Draw all families against the lattices of the table, in its order, side by side."""
    shapes = list(numbers["shape"].unique())
    width = BOXES / len(looks)
    axes.use_sticky_edges = False  # boxes need not stand on the axis
    for i, (family, look) in enumerate(looks.items()):
        rows = _rows(numbers, family).set_index("shape").reindex(shapes)  # a gap for a lattice it cannot take
        at, half = np.arange(len(shapes)) + (i - (len(looks) - 1) / 2) * width, 0.42 * width
        colour = look.colour
        for low, high, opacity in (("lowest", "highest", BAND), ("median_low", "median_high", INNER)):
            axes.bar(at, rows[high] - rows[low], 2 * half, bottom=rows[low], color=colour, alpha=opacity, linewidth=0)
        axes.hlines(rows["mean"], at - half, at + half, color=colour, linewidth=1, linestyle="--")
        axes.hlines(rows["median"], at - half, at + half, color=colour)
        axes.plot(at, rows["median"], color=colour, marker=look.marker, linewidth=0.6)
    axes.set_xticks(range(len(shapes)), [shape.replace("x", "\N{MULTIPLICATION SIGN}") for shape in shapes])
    axes.set_xlim(-0.6, len(shapes) - 0.4)


def draw_quantity(axes: Axes, numbers: pd.DataFrame, quantity: str, x: str) -> None:
    """Draw the loss on a logarithmic axis, or the accuracy on one up to 1, against shapes or numbers in a column."""
    rows = numbers[numbers["quantity"] == quantity]
    if x == "shape":
        draw_sizes(axes, rows, looks_of(numbers))
    else:
        draw_bands(axes, rows, x, looks_of(numbers))
    if quantity == "loss":
        axes.set_yscale("log")
    else:
        lowest = min(rows["lowest"].min(), MOST_DETAIL)
        margin = 0.06 * (1 - lowest)
        axes.set_ylim(lowest - margin, 1 + margin)


def ticks_at(axes: Axes, values: Iterable[float]) -> None:
    """Put the ticks of the horizontal axis at the values themselves."""
    at = sorted(set(values))
    axes.xaxis.set_major_locator(FixedLocator(at))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(at, [written(value) for value in at])


def legend(figure: Figure, numbers: pd.DataFrame) -> None:
    """Put the names of the families above the panels, and what band and lines mean below."""
    names: list[Artist] = [
        Line2D([], [], color=look.colour, marker=look.marker, label=family)
        for family, look in looks_of(numbers).items()
    ]
    meaning: list[Artist] = [
        Patch(color="0.5", alpha=0.25, linewidth=0, label="best to worst instance"),
        Patch(color="0.5", alpha=0.6, linewidth=0, label="95 % interval of the median"),
        Line2D([], [], color="0.35", linestyle="--", linewidth=1, label="mean"),
        Line2D([], [], color="0.35", label="median"),
    ]
    figure.legend(handles=names, loc="outside upper center", ncols=len(names), columnspacing=1.4)
    figure.legend(handles=meaning, loc="outside lower center", ncols=len(meaning), columnspacing=1.4)


def _rows(numbers: pd.DataFrame, family: str) -> pd.DataFrame:
    """The rows of one family; what is infinite cannot be drawn and leaves a gap."""
    return numbers[numbers["family"] == family].replace(np.inf, np.nan)
