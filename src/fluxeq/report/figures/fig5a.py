"""Figure 5a: a configuration with an open worm, and the violations of flux conservation at its ends.

Links are coloured by k of the configuration without the worm; arrows show the flux of the worm, which lowers k if
opposite to the link. A link that leaves the lattice ends on an open circle, the periodic image of a site.
"""

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure as Picture
from matplotlib.ticker import MaxNLocator

from fluxeq.analysis.tables import Results
from fluxeq.report.figures import lattices
from fluxeq.report.figures.figure import Figure
from fluxeq.study.study import Study

SECTION = "detection"
WORM = "#5C3A0E"
STEPS = {"t": (0, 1), "x": (1, 0)}
"""The end of a link relative to its site, as (x, t)."""


def shows(study: Study) -> bool:
    """Whether single open worms are tested in two dimensions."""
    section = study.tasks.get(SECTION)
    return section is not None and len(section.shape) == 2 and 1 in section.test.n_worms


def numbers(run: Path) -> pd.DataFrame:
    """One row per site: the fluxes on its two links, its divergence, and the flux of the worm on the links."""
    return Results(run).measurement("example", SECTION).drop(columns="task")


def draw(numbers: pd.DataFrame) -> Picture:
    """Draw the fluxes with the worm, and the divergence of every site next to them."""
    figure = Picture(figsize=(7.2, 4.3), layout="constrained")
    left, right = panels = figure.subplots(1, 2)
    colours = _draw_fluxes(left, numbers)
    _draw_worm(left, numbers)
    _draw_images(left, numbers)
    lattices.mark_violations(right, numbers)
    for axes, title in zip(panels, (r"flux $k$ and the open worm (brown)", "divergence of the flux"), strict=True):
        axes.plot(numbers["x"], numbers["t"], "o", color="0.35", markersize=2.4, zorder=4)
        lattices.frame(axes, numbers, 1.2)
        axes.set_title(title)
    ticks = MaxNLocator(nbins=9, integer=True)
    figure.colorbar(
        colours, ax=panels, location="bottom", shrink=0.4, aspect=30, ticks=ticks, label=r"$k$ without the worm"
    )
    return figure


def _draw_fluxes(axes: Axes, numbers: pd.DataFrame) -> ScalarMappable:
    """Draw k of the closed configuration on all links, with width increasing with |k|; returns the colour scale."""
    k = {nu: numbers[f"k_{nu}"] - numbers[f"worm_{nu}"] for nu in STEPS}
    colours = _colours(pd.concat(k.values()))
    for nu, values in k.items():
        widths = 1 + 0.8 * values.abs()
        links = LineCollection(_links(numbers, nu), linewidths=widths, colors=colours.to_rgba(values), capstyle="butt")
        axes.add_collection(links)
    return colours


def _colours(k: pd.Series) -> ScalarMappable:
    """A colour for every integer in the range of k: red below zero, grey at zero, blue above."""
    values, largest = np.arange(k.min(), k.max() + 1), max(1, k.abs().max())
    shades = matplotlib.colormaps["RdBu"](0.5 + 0.5 * (0.15 * np.sign(values) + 0.75 * values / largest))
    shades[values == 0] = (0.85, 0.85, 0.85, 1)
    edges = np.append(values, values[-1] + 1) - 0.5
    return ScalarMappable(BoundaryNorm(edges, len(values)), ListedColormap(shades))


def _draw_worm(axes: Axes, numbers: pd.DataFrame) -> None:
    arrow = {"arrowstyle": "-|>", "color": WORM, "linewidth": 2, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 10}
    for nu in STEPS:
        rows = numbers[numbers[f"worm_{nu}"] != 0]
        for (start, end), added in zip(_links(rows, nu), rows[f"worm_{nu}"], strict=True):
            tail, head = (start, end) if added > 0 else (end, start)
            axes.annotate("", head, tail, arrowprops=arrow, zorder=3)


def _draw_images(axes: Axes, numbers: pd.DataFrame) -> None:
    """Draw the periodic images at which the last links end."""
    for nu in STEPS:
        last = numbers[numbers[nu] == numbers[nu].max()]
        ends = np.array([end for _, end in _links(last, nu)])
        axes.plot(*ends.T, "o", color="0.35", markersize=2.8, markerfacecolor="white", markeredgewidth=0.6, zorder=4)


def _links(rows: pd.DataFrame, nu: str) -> list[np.ndarray]:
    """Both ends of the links of all rows, as (x, t)."""
    start = rows[["x", "t"]].to_numpy()
    return list(np.stack([start, start + np.array(STEPS[nu])], axis=1))


def alt_text(numbers: pd.DataFrame) -> str:
    """The range of the flux, the length of the worm and its ends, in words."""
    ends = numbers[numbers["divergence"] != 0]
    where = " and ".join(f"{row.divergence:+d} at t = {row.t}, x = {row.x}" for row in ends.itertuples())
    flux, links = numbers[["k_t", "k_x"]].to_numpy(), (numbers[["worm_t", "worm_x"]] != 0).sum(axis=None)
    return f"k from {flux.min()} to {flux.max()}; a worm on {links} links; divergence {where}."


FIGURE = Figure(
    "fig5a",
    "Figure 5a. A configuration with an open worm, and the two sites where flux is not conserved.",
    "An open worm has one violation of each sign, at its two ends.",
    shows,
    numbers,
    draw,
    alt_text,
)
