"""Blind spots of a search: the test loss of every setting over all couplings as a function of its validation loss.

Left, the loss on the validation set of the search; right, on a second one at other couplings that had no influence. A
setting on the dotted diagonal has equal losses; one far above it has a loss at other couplings that this validation set
does not detect.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from fluxeq.analysis import selection
from fluxeq.report.figures.figure import Figure, OfSearches
from fluxeq.report.figures.looks import Style, looks_of_architectures

SYMBOLS = {"eta": r"$\eta$", "lam": r"$\lambda$", "mu": r"$\mu$"}
PANELS = {"validation": ("chosen", "trained_at"), "elsewhere": ("chosen_elsewhere", "elsewhere_at")}
"""The loss on each horizontal axis, the column of its selection, and that of its couplings."""
ONE, ALL = 9, 16
"""Sizes of the stars: selected in one search, and over all searches of an architecture."""


def draw(numbers: pd.DataFrame) -> Picture:
    """Draw two panels per task with equal logarithmic axes; the gain by the second validation set is given above."""
    looks = looks_of_architectures(numbers)
    tasks = numbers["task"].unique()
    figure = Picture(figsize=(7.6, 4.3 * len(tasks) + 0.3), layout="constrained")
    for part, task in zip(figure.subfigures(len(tasks), 1, squeeze=False)[:, 0], tasks, strict=True):
        rows = numbers[numbers["task"] == task]
        panels = part.subplots(1, 2, sharex=True, sharey=True)
        for axes, (loss, (choice, place)) in zip(panels, PANELS.items(), strict=True):
            for name, of_one in rows.replace(np.inf, np.nan).groupby("architecture", sort=False):
                _draw_settings(axes, of_one, loss, looks[name])
                _draw_choices(axes, of_one, loss, choice, looks[name])
            axes.add_artist(Line2D(*[(1e-30, 1e30)] * 2, color="0.4", linestyle=":", linewidth=1, zorder=0))
            axes.set(xscale="log", yscale="log", xlabel=f"validation loss at {_symbols(rows[place].iloc[0])}")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(LogLocator(numticks=9))
        others = " and ".join(SYMBOLS.get(name, name) for name in _names(rows))
        panels[0].set_ylabel(f"{task}: test loss over all {others}")
        _legend(part, rows, looks)
    _meaning(figure)
    return figure


def _draw_settings(axes: Axes, rows: pd.DataFrame, loss: str, look: Style) -> None:
    """Draw a marker for each setting, hollow with a hidden dense layer."""
    for dense, some in rows.groupby("dense"):
        face = "none" if dense else look.colour
        style: dict[str, Any] = {"color": look.colour, "marker": look.marker, "linestyle": "none", "alpha": 0.75}
        axes.plot(some[loss], some["test"], markersize=5, markerfacecolor=face, **style)


def _draw_choices(axes: Axes, rows: pd.DataFrame, loss: str, choice: str, look: Style) -> None:
    """Draw stars at the settings selected by this loss in each search, and the largest at the best of these."""
    chosen = rows[rows[choice]]
    for _, one in chosen.iterrows():
        size, above = (ALL, 5) if one[loss] == chosen[loss].min() else (ONE, 6)
        style: dict[str, Any] = {"markerfacecolor": "white" if one["dense"] else look.colour}
        style |= {"markeredgecolor": look.colour if one["dense"] else "black"}
        style["markeredgewidth"] = 1.6 if one["dense"] else 0.8
        axes.plot(one[loss], one["test"], "*", markersize=size, zorder=above, **style)


def _legend(part: Any, rows: pd.DataFrame, looks: dict[str, Style]) -> None:
    """Put the selections of the two validation sets above the panels of a task."""
    first, second = (_symbols(rows[place].iloc[0]) for _, place in PANELS.values())
    gains = list(selection.gains(rows).itertuples())
    handles = [
        Line2D([], [], color=looks[row.architecture].colour, marker=looks[row.architecture].marker, linestyle="none")
        for row in gains
    ]
    words = [
        f"{row.architecture}: {_short(row.chosen)} \N{RIGHTWARDS ARROW} {_short(row.chosen_elsewhere)}" for row in gains
    ]
    title = f"test loss of the setting chosen at {first} \N{RIGHTWARDS ARROW} at {second} (median over searches)"
    place: dict[str, Any] = {"loc": "outside upper center", "ncols": min(4, len(words)), "columnspacing": 2.0}
    part.legend(handles, words, title=title, title_fontsize="small", **place)


def _meaning(figure: Picture) -> None:
    """Put the meaning of the markers below all panels."""
    meanings: dict[str, dict[str, Any]] = {
        "no hidden dense layer": {"marker": "o", "markersize": 5, "markerfacecolor": "0.35"},
        "hidden dense layer": {"marker": "o", "markersize": 5, "markerfacecolor": "none"},
        "selected in one search": {"marker": "*", "markersize": ONE, "markerfacecolor": "0.35"},
        "in all searches combined": {"marker": "*", "markersize": ALL - 3, "markerfacecolor": "0.35"},
    }
    lines = [Line2D([], [], color="0.35", linestyle="none", label=label, **style) for label, style in meanings.items()]
    lines.append(Line2D([], [], color="0.4", linestyle=":", linewidth=1, label="equal losses"))
    figure.legend(handles=lines, loc="outside lower center", ncols=len(lines), columnspacing=1.2)


def _names(rows: pd.DataFrame) -> list[str]:
    """The couplings in which the two validation sets differ."""
    return [part.split(" = ")[0] for part in rows["elsewhere_at"].iloc[0].split(", ")]


def _symbols(place: str) -> str:
    """Couplings in words, with symbols instead of names."""
    parts = (part.split(" = ") for part in place.split(", "))
    return ", ".join(f"{SYMBOLS.get(name, name)} = {value}" for name, value in parts)


def _short(loss: float) -> str:
    """A loss with two digits."""
    mantissa, _, exponent = f"{loss:.1e}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def alt_text(numbers: pd.DataFrame) -> str:
    """The test losses of the settings selected by each validation set, in words."""
    listed = (
        f"{row.task}, {row.architecture}: {_short(row.chosen)} and {_short(row.chosen_elsewhere)}"
        for row in selection.gains(numbers).itertuples()
    )
    return f"Test loss of the setting chosen by the first and by the second validation set. {'; '.join(listed)}."


FIGURE = Figure(
    "selection",
    "Blind spots of a search. Every setting: its loss over all couplings of the test, on the training lattice, as a "
    "function of its loss on the validation set of the search (left), and on one at other couplings without influence "
    "on the search (right). Hollow: with a hidden dense layer. Stars: selected by each validation set in every search, "
    "large ones in all searches of an architecture combined. Dotted: equal losses; a validation set does not detect "
    "how far a setting lies above that line.",
    "",
    lambda study: any(map(selection.is_observed, study.tasks.values())),
    OfSearches(selection.settings, selection.is_observed),
    draw,
    alt_text,
)
