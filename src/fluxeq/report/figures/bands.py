"""Bands from the lowest to the highest instance, a dashed line for the mean and a continuous one for the median.

A darker band is where the median lies with 95 % confidence (bootstrap over the instances).

Along a number the band is continuous; lattices are categories, so that each has a box of its own, and one that an
architecture cannot take stays empty. Colours are those of Okabe and Ito, distinct for the colour-blind; each
series also has its own marker.
"""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, NullLocator

from fluxeq.study.family import PROTOCOLS
from fluxeq.theory import written


class Look(NamedTuple):
    """How a family is drawn."""

    colour: str
    marker: str


KNOWN = {
    "EQ": (Look("#0072B2", "o"), Look("#56B4E9", "P")),
    "ST": (Look("#D55E00", "s"), Look("#CC79A7", "D"), Look("#E69F00", "v")),
    "FL": (Look("#009E73", "^"),),
}
"""Of the first families of an architecture, whether with augmentation or without."""
FURTHER = (Look("#000000", "X"), Look("#999999", "*"), Look("#8C6D31", "p"))
"""For all others, in turn."""

BAND, INNER, EDGE = 0.16, 0.28, 0.45
"""Opacity of bands, of that of the median, and of the line from the lowest to the highest instance at each point."""
BOXES = 0.7
"""The share of a category's width that its boxes take."""

MOST_DETAIL = 0.98
"""An axis of accuracies begins here or lower: smaller differences are not worth a picture."""


def looks_of(numbers: pd.DataFrame) -> dict[str, Look]:
    """The look of each family of one protocol in the numbers of a figure, those without augmentation first."""
    families = numbers[["family", "architecture", "augmentation"]].drop_duplicates()
    families = families.sort_values("augmentation", kind="stable")
    known = {kind: iter(KNOWN.get(kind[0], ())) for kind in itertools.product(families["architecture"], (False, True))}
    further = itertools.cycle(FURTHER)
    return {
        family: next(known[architecture, augmentation], None) or next(further)
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
    if len(at) == 1:
        axes.set_xlim(at[0] - 0.4 * abs(at[0] or 1), at[0] + 0.4 * abs(at[0] or 1))
    axes.xaxis.set_major_locator(FixedLocator(at))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(at, [written(value) for value in at])


def legend(figure: Figure, top: Sequence[Axes], numbers: pd.DataFrame) -> None:
    """Put the names of the families of each protocol above its panels, and what band and lines mean below."""
    for axes, (protocol, rows) in zip(top, by_protocol(numbers), strict=True):
        first: dict[Look, str] = {}  # augmented families look like the others
        for family, look in looks_of(rows).items():
            first.setdefault(look, family)
        names = [Line2D([], [], color=look.colour, marker=look.marker, label=name) for look, name in first.items()]
        style: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "columnspacing": 1.2}
        axes.legend(handles=names, title=protocol, alignment="left", ncols=min(3, len(names)), **style)
    meaning: list[Artist] = [
        Patch(color="0.5", alpha=0.25, linewidth=0, label="best to worst instance"),
        Patch(color="0.5", alpha=0.6, linewidth=0, label="95 % interval of the median"),
        Line2D([], [], color="0.35", linestyle="--", linewidth=1, label="mean"),
        Line2D([], [], color="0.35", label="median"),
    ]
    ncols = 2 if len(top) == 1 else 4
    figure.legend(handles=meaning, loc="outside lower center", ncols=ncols, columnspacing=1.4)


def by_protocol(numbers: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each protocol, in order."""
    there = set(numbers["protocol"])
    return [(name, numbers[numbers["protocol"] == name]) for name in PROTOCOLS if name in there]


def _rows(numbers: pd.DataFrame, family: str) -> pd.DataFrame:
    """The rows of one family; what is infinite cannot be drawn and leaves a gap."""
    return numbers[numbers["family"] == family].replace(np.inf, np.nan)
