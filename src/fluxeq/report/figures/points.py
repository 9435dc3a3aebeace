"""Plots of the spread over the instances of every family; families are shifted horizontally to avoid overlap.

    marker                  median over the instances
    small dash              their mean
    wide, light bar         from the best to the worst instance
    narrow, darker bar      95 % interval of the median (bootstrap over the instances)
    thin bar with caps      95 % interval of an accuracy, from the number of test configurations (Wilson)

Elements that coincide with others everywhere are neither drawn nor listed in the legend. Lattices are categories; along
a numerical axis, thin lines join the medians of a family to guide the eye.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator
from matplotlib.transforms import ScaledTranslation

from fluxeq.report.figures.looks import Style, styles_of
from fluxeq.study.family import PROTOCOLS
from fluxeq.theory import coupling_text

WIDE, NARROW, CAP = 5.0, 2.2, 1.8
"""Widths of the bars and half width of the caps, in points of 1/72 inch."""
APART, PANEL = 6.5, 230.0
"""Maximum shift between two families, and approximate width of a panel, in the same points."""
MOST_DETAIL = 0.98
"""Upper limit of the lower end of an accuracy axis, so that tiny differences are not magnified."""
TRAINED: dict[str, Any] = {"color": "0.45", "linestyle": (0, (1, 2)), "linewidth": 1}
"""Line style for values in the training set."""
LABEL = 9.5
"""Space along the axis for a rotated label, in points."""


def draw_points(axes: Axes, numbers: pd.DataFrame, x: str, looks: dict[str, Style], shapes: Sequence[str] = ()) -> None:
    """Draw all families as a function of the numerical column ``x``, or of the lattices ``shapes`` in this order."""
    categories, there = x == "shape", set(numbers["family"])
    looks = {family: look for family, look in looks.items() if family in there}
    places = {shape: i for i, shape in enumerate(shapes)} if categories else {v: float(v) for v in numbers[x]}
    apart = _distance(np.array([*places.values()]), axes.get_xscale(), len(looks))
    shown = drawn_of(numbers)
    for i, (family, look) in enumerate(looks.items()):
        rows = numbers[numbers["family"] == family].replace(np.inf, np.nan)  # infinite values leave a gap
        at = rows[x].map(places).to_numpy(dtype=float)
        shift = ScaledTranslation((i - (len(looks) - 1) / 2) * apart / 72, 0, axes.figure.dpi_scale_trans)
        _draw_family(axes, at, rows, look, shown, line=not categories, transform=axes.transData + shift)
        for end in ("lowest", "highest"):  # shifted artists do not count
            axes.update_datalim(np.column_stack([at, rows[end]])[rows[end].notna()])
    axes.margins(x=0.09)
    axes.autoscale_view()
    if categories:
        axes.set_xticks(range(len(shapes)), [shape.replace("x", "\N{MULTIPLICATION SIGN}") for shape in shapes])
        axes.set_xlim(-0.6, len(shapes) - 0.4)


def _distance(at: np.ndarray, scale: str, n_families: int) -> float:
    """Shift between two families in points, such that all at one value stay together."""
    at = np.unique(np.log(at) if scale == "log" else at)
    gap = PANEL * np.diff(at).min() / np.ptp(at) if len(at) > 1 else PANEL
    return float(np.clip(0.7 * gap / n_families, 0.8, APART))


def _draw_family(
    axes: Axes, at: np.ndarray, rows: pd.DataFrame, look: Style, shown: set[str], *, line: bool, transform: Any
) -> None:
    style: dict[str, Any] = {"color": look.colour, "transform": transform}
    for name, low, high, width, opacity in (
        ("range", "lowest", "highest", WIDE, 0.3),
        ("interval", "median_low", "median_high", NARROW, 0.6),
    ):
        if name in shown:
            axes.vlines(at, rows[low], rows[high], linewidth=width, alpha=opacity, **style)
    if "tested" in shown:
        ends = np.abs(rows[["test_low", "test_high"]].to_numpy().T - rows["median"].to_numpy())
        axes.errorbar(at, rows["median"], ends, fmt="none", elinewidth=0.7, capsize=CAP, capthick=0.7, **style)
    if line:
        axes.plot(at, rows["median"], linestyle=look.line, linewidth=0.7, alpha=0.7, **style)
    if "mean" in shown:
        axes.plot(at, rows["mean"], "_", markersize=8, markeredgewidth=0.9, **style)
    edge: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.4}
    axes.plot(at, rows["median"], look.marker, markersize=4.8, **edge, **style)


def drawn_of(numbers: pd.DataFrame) -> set[str]:
    """The elements to draw besides medians: range, interval, mean and tested."""
    found = {"range"} if (numbers["lowest"] < numbers["highest"]).any() else set()
    ends, inner = numbers[["lowest", "highest"]].to_numpy(), numbers[["median_low", "median_high"]].to_numpy()
    found |= {"interval"} if (ends != inner).any() else set()
    found |= {"mean"} if (numbers["instances"] > 2).any() else set()
    return found | ({"tested"} if "test_low" in numbers and numbers["test_low"].notna().any() else set())


def draw_quantity(axes: Axes, numbers: pd.DataFrame, quantity: str, x: str, shapes: Sequence[str] = ()) -> None:
    """Draw the loss on a logarithmic axis, or the accuracy on an axis up to 1, as a function of shapes or a column."""
    rows = numbers[numbers["quantity"] == quantity]
    if quantity == "loss":
        axes.set_yscale("log")
    draw_points(axes, rows, x, styles_of(rows), shapes)
    if quantity != "loss":
        lowest = rows[["lowest", "test_low"]].min(axis=None)
        lowest = min(lowest, MOST_DETAIL)
        margin = 0.06 * (1 - lowest)
        axes.set_ylim(lowest - margin, 1 + margin)


def mark_trained(axes: Axes, values: Iterable[float]) -> None:
    """Mark values that are in the training set."""
    for value in values:
        axes.axvline(value, zorder=0, **TRAINED)


def ticks_at(axes: Axes, values: Iterable[float]) -> None:
    """Put the ticks of the horizontal axis at the values; labels are rotated if space requires it.

    If labels would still overlap, the one of the smaller value is omitted.
    """
    at = sorted(set(values))
    if len(at) == 1:
        axes.set_xlim(at[0] - 0.4 * abs(at[0] or 1), at[0] + 0.4 * abs(at[0] or 1))
    places = np.log(at) if axes.get_xscale() == "log" else np.array(at)
    points = PANEL * (places - places[0]) / (np.ptp(places) or 1)
    labels = [coupling_text(value) for value in at]
    widths = np.array([2 + 5 * len(label) for label in labels])
    turned = bool((np.diff(points) < (widths[1:] + widths[:-1]) / 2).any())
    last = np.inf
    for i in reversed(range(len(at))) if turned else ():
        if last - points[i] < LABEL:
            labels[i] = ""
        else:
            last = points[i]
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(at, labels, rotation=90 if turned else 0)


def legend(figure: Figure, top: Sequence[Axes], numbers: pd.DataFrame, *, lines: bool, trained: bool = False) -> None:
    """Put the names of the families of each protocol above its panels, and the meaning of the symbols below."""
    for axes, (protocol, rows) in zip(top, by_protocol(numbers), strict=True):
        name_families(axes, protocol, styles_of(rows), lines=lines)
    meaning = _meaning(numbers, lines=lines, trained=trained)
    ncols = 2 if len(top) == 1 else 3
    figure.legend(handles=meaning, loc="outside lower center", ncols=ncols, columnspacing=1.4)


def name_families(axes: Axes, protocol: str, looks: dict[str, Style], *, lines: bool, markers: bool = True) -> None:
    """Put the names of the families of a protocol above a panel; augmented families have the same look."""
    first: dict[Style, str] = {}
    for family, look in looks.items():
        first.setdefault(look, family)
    drawn: dict[Style, dict[str, Any]] = {
        look: {"marker": look.marker * markers, "linestyle": look.line if lines else ""} for look in first
    }
    names = [Line2D([], [], color=look.colour, label=name, **drawn[look]) for look, name in first.items()]
    place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": min(3, len(names))}
    axes.legend(handles=names, title=protocol, alignment="left", columnspacing=1.2, handlelength=2.6, **place)


def _meaning(numbers: pd.DataFrame, *, lines: bool, trained: bool) -> list[Artist]:
    grey: dict[str, Any] = {"color": "0.35", "linestyle": ""}
    fewest, most = numbers["instances"].min(), numbers["instances"].max()
    several = f"median of {most} instances" if fewest == most else f"median of {fewest} to {most} instances"
    found = [Line2D([], [], marker="o", label=several if most > 1 else "single instance", **grey)]
    shown = drawn_of(numbers)
    bar: dict[str, Any] = {"marker": "|", "markersize": 11, **grey}
    if "range" in shown:
        found.append(Line2D([], [], label="best to worst instance", markeredgewidth=WIDE, alpha=0.3, **bar))
    if "interval" in shown:
        label = "95 % interval of the median"
        found.append(Line2D([], [], label=label, markeredgewidth=NARROW, alpha=0.6, **bar))
    if "mean" in shown:
        found.append(Line2D([], [], label="mean", marker="_", markersize=8, markeredgewidth=0.9, **grey))
    if "tested" in shown:
        n = sorted(numbers.loc[numbers["test_low"].notna(), "configurations"].astype(int).unique())
        label = f"95 % binomial error of {' to '.join(map(str, dict.fromkeys([n[0], n[-1]])))} configurations"
        found.append(Line2D([], [], label=label, marker="$\\mathrm{I}$", markersize=8, markeredgewidth=0.2, **grey))
    if trained:
        found.append(Line2D([], [], label="in the training set", **TRAINED))
    if lines:
        found.append(Line2D([], [], color="0.35", linewidth=0.7, label="lines guide the eye"))
    return list(found)


def alt_text(numbers: pd.DataFrame, x: str) -> str:
    """Medians of all families at the first and the last value, in words."""
    places = list(dict.fromkeys([numbers[x].iloc[0], numbers[x].iloc[-1]]))
    parts = []
    for (protocol, quantity), rows in numbers.groupby(["protocol", "quantity"], sort=False):
        for place in places:
            here = rows[rows[x] == place].drop_duplicates("family")
            listed = ", ".join(f"{row.family} {row.median:.2g}" for row in here.itertuples())
            parts.append(
                f"{protocol}, {quantity} at {coupling_text(place) if isinstance(place, float) else place}: {listed}"
            )
    return f"Median of the instances. {'; '.join(part for part in parts if not part.endswith(': '))}."


def by_protocol(numbers: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each protocol, in order; scores without a study have none and come last."""
    names = dict.fromkeys((*PROTOCOLS, *numbers["protocol"]))
    return [(name, rows) for name in names if len(rows := numbers[numbers["protocol"] == name])]


def first_families(rows: pd.DataFrame, architecture: str) -> list[str]:
    """The first family of an architecture without augmentation, for each protocol that has one."""
    plain = rows[(rows["architecture"] == architecture) & ~rows["augmentation"]]
    return [of["family"].iloc[0] for _, of in by_protocol(plain)]
