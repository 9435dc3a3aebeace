"""Figure 1, with measurements: the layers of every network, and its violation of translational symmetry.

    error = max over translations T of |net(T x) - net(x)| / max |net(x)|

over all translations, and over those by multiples of the strides only (which FL does not have), of the first instance
of each family in double precision.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Patch
from matplotlib.ticker import LogLocator, NullLocator

from fluxeq.analysis.tables import Results
from fluxeq.report.figures.figure import Figure
from fluxeq.report.figures.layers import NEXT, layers_of
from fluxeq.report.figures.looks import KNOWN
from fluxeq.study.study import Study

ROUNDING = 1e-9
"""Errors below this are float64 rounding errors; broken symmetries are at least five orders of magnitude larger."""
LEAST = 1e-17
"""Position at which an error of 0 is drawn."""
MARKERS = "osD^vPX*"
"""Markers of the tasks."""
ROW, BOX, NAME, ERRORS = 0.46, 0.92, 1.9, 2.9
"""Inches: height of a network; widths of a layer, of the names and of the panel of errors."""
BREAKS = {"stride": KNOWN["ST"][0].colour, "flatten": KNOWN["FL"][0].colour}
"""Layers that break translations, with their colours."""


def shows(study: Study) -> bool:
    """Whether any networks are trained."""
    return any(not family.function for section in study.tasks.values() for family in section.families.values())


def numbers(run: Path) -> pd.DataFrame:
    """One row per task and family, with its layers starting from the input."""
    results = Results(run)
    table = results.measurement("translation")
    named = table[["task", "family"]].itertuples(index=False, name=None)
    return table.assign(layers=[layers_of(results, *each) for each in named])


def draw(numbers: pd.DataFrame) -> Picture:
    """Draw a row of boxes for each network (tasks may share it), with its errors to the right."""
    rows = numbers.assign(layers=numbers["layers"].where(numbers["layers"] != "", numbers["architecture"]))
    networks = [(*name, of) for name, of in rows.groupby(["family", "layers"], sort=False)]
    tasks = list(rows["task"].unique())
    n_layers = max(len(layers.split(NEXT)) for _, layers, _ in networks)
    width, height = NAME + n_layers * BOX, len(networks) * ROW + 0.9
    figure = Picture(figsize=(width + ERRORS, height), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(width, ERRORS))
    left.set_axis_off()
    left.set(xlim=(-NAME, n_layers * BOX), ylim=(len(networks) - 0.4, -0.6))
    for line, (family, layers, of) in enumerate(networks):
        left.text(-NAME, line, f"{family}\n{', '.join(of['task'])}", va="center", fontsize="small")
        for i, layer in enumerate(layers.split(NEXT)):
            _draw_layer(left, i * BOX, line, layer)
        for row in of.to_dict("records"):
            _draw_errors(right, line, row, MARKERS[tasks.index(row["task"]) % len(MARKERS)])
    _label(right)
    _legend(figure, tasks)
    return figure


def _draw_layer(axes: Axes, x: float, line: int, layer: str) -> None:
    colour = next((colour for word, colour in BREAKS.items() if word in layer), None)
    style: dict[str, Any] = {"edgecolor": colour or "0.45", "facecolor": colour or "white", "linewidth": 0.9}
    size = BOX - 0.14, 0.78
    box = FancyBboxPatch((x, line - size[1] / 2), *size, boxstyle="round,pad=0,rounding_size=0.06", **style)
    axes.add_patch(box)
    first, _, rest = re.sub(r"(?<=\d)x(?=\d)", "\N{MULTIPLICATION SIGN}", layer).partition(" ")
    words = f"{first}\n{rest}".replace(" stride", "\nstride").strip()
    text: dict[str, Any] = {"va": "center", "ha": "center", "fontsize": 6.5, "color": "white" if colour else "black"}
    axes.text(x + size[0] / 2, line, words, linespacing=1.0, **text)
    if x:
        axes.annotate("", (x, line), (x - 0.14, line), arrowprops={"arrowstyle": "-", "color": "0.45"})


def _draw_errors(axes: Axes, line: int, row: dict[str, Any], marker: str) -> None:
    """Filled: all translations; open: translations by multiples of the stride, if any."""
    for name, face, size in (("translation_error", "black", 5), ("residual_error", "none", 8)):
        if not (name == "residual_error" and row["stride"] == 1):
            at = max(row[name], LEAST) if np.isfinite(row[name]) else np.nan
            style: dict[str, Any] = {"color": "black", "markerfacecolor": face, "clip_on": False}
            axes.plot(at, line, marker, markersize=size, markeredgewidth=0.8, **style)


def _label(axes: Axes) -> None:
    axes.axvspan(LEAST / 10, ROUNDING, color="0.93", zorder=0)
    axes.set(xscale="log", xlim=(LEAST / 3, 30), xlabel="largest relative change of the output")
    axes.text(LEAST, -0.62, "rounding", va="bottom", fontsize="small")
    axes.xaxis.set_major_locator(LogLocator(base=1e4, numticks=9))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="y", left=False, labelleft=False)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")


def _legend(figure: Picture, tasks: list[str]) -> None:
    grey: dict[str, Any] = {"color": "black", "linestyle": ""}
    handles: list[Artist] = [
        *(Line2D([], [], marker=MARKERS[i % len(MARKERS)], label=task, **grey) for i, task in enumerate(tasks)),
        Line2D([], [], marker="o", markersize=5, label="filled: all translations", **grey),
        Line2D([], [], marker="o", markersize=8, markerfacecolor="none", label="open: multiples of the stride", **grey),
        *(Patch(facecolor=colour, label=f"{word}: breaks translations") for word, colour in BREAKS.items()),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, columnspacing=1.4)


def alt_text(numbers: pd.DataFrame) -> str:
    """The largest errors of each architecture, in words."""
    largest = numbers.groupby("architecture", sort=False)[["translation_error", "residual_error"]].max()
    parts = []
    for name, row in largest.iterrows():
        rest = "" if np.isnan(row["residual_error"]) else f", {row['residual_error']:.1g} by multiples of its stride"
        parts.append(f"{name} {row['translation_error']:.1g}{rest}")
    return f"Layers as boxes, errors on a logarithmic axis. Largest change under translations: {'; '.join(parts)}."


FIGURE = Figure(
    "fig1",
    "Figure 1. The layers of every network from input to output, and the largest change of the output of a trained "
    "network under all translations, and under those by multiples of its strides. FL has no residual symmetry. "
    "Global pooling is average, maximum or sum, depending on the task where it is not named. An error of 0 is drawn "
    "at the left end. Double precision; the first instance of each family.",
    "EQ is exactly equivariant, ST only under multiples of its strides, FL not at all.",
    shows,
    numbers,
    draw,
    alt_text,
)
