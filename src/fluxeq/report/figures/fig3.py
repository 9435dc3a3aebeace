"""Figure 3: n and |phi|^2 against mu on every lattice, Monte Carlo against the best EQ instance.

Trained at one mu on one lattice; the best instance is the one with the lowest loss there, among those that were trained
on the most configurations. Errors are those of the Monte-Carlo means, and absent where the series is constant. Below,
the deviation of the prediction in units of that error.
"""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture
from matplotlib.lines import Line2D

from fluxeq.analysis.spread import best_instance, sizes
from fluxeq.analysis.tables import Results
from fluxeq.report.figures import canvas
from fluxeq.report.figures.figure import Figure
from fluxeq.study.study import Study

SECTION, NETWORK = "regression", {"architecture": "EQ", "augmentation": False}
QUANTITIES = {"n": r"particle density $n$", "phi2": r"$|\phi|^2$"}
MARKERS = "osD^vPX*"
QUANTITY_COLOURS = {"n": "#0072B2", "phi2": "#D55E00"}


def shows(study: Study) -> bool:
    """Whether an EQ network is trained for the regression, and tested at several mu."""
    section = study.tasks.get(SECTION)
    families = section.families.values() if section and "mu" in section.test.couplings else ()
    return any(family.architecture == "EQ" and not family.augmentation for family in families)


def numbers(run: Path) -> pd.DataFrame:
    """True and predicted mean of both observables for each lattice and mu."""
    results = Results(run)
    rows = results.first_families(SECTION, results.final(SECTION, **NETWORK))
    best = best_instance(rows, results.trained_at(SECTION))
    best = best.sort_values("mu").sort_values("shape", key=sizes, kind="stable")
    best = best.sort_values("target", key=lambda target: target.map(list(QUANTITIES).index), kind="stable")
    names = {"target": "quantity", "truth": "truth", "truth_error": "truth_error", "mean": "prediction"}
    table = best.rename(columns=names)[["model", "shape", "mu", *names.values()]].reset_index(drop=True)
    errors = table["truth_error"].where(table["truth_error"] > 0)
    return table.assign(deviation=(table["prediction"] - table["truth"]) / errors)


def draw(numbers: pd.DataFrame) -> Picture:
    """Points with errors for the truth, lines for the prediction, one colour per lattice; deviations below."""
    figure, panels = canvas.panels(3, 2.3, ratios=(3, 3, 1.6))
    shapes = list(numbers["shape"].unique())
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.88, len(shapes)))
    for axes, (quantity, name) in zip(panels[:2], QUANTITIES.items(), strict=True):
        for shape, colour, marker in zip(shapes, colours, MARKERS * len(shapes), strict=False):
            rows = numbers[(numbers["shape"] == shape) & (numbers["quantity"] == quantity)]
            _draw_lattice(axes, rows, colour, marker)
        axes.set_ylabel(f"{name} (lattice units)")
    _draw_deviations(panels[2], numbers, shapes)
    panels[-1].set_xlabel(r"chemical potential $\mu$ (lattice units)")
    _legend(panels[0], shapes, colours)
    return figure


def _draw_lattice(axes: Axes, rows: pd.DataFrame, colour: np.ndarray, marker: str) -> None:
    axes.plot(rows["mu"], rows["prediction"], color=colour, linewidth=1.1)
    errors = rows["truth_error"].fillna(0)
    axes.errorbar(
        rows["mu"],
        rows["truth"],
        errors,
        color=colour,
        fmt=marker,
        markersize=3.6,
        markerfacecolor="white",
        markeredgewidth=0.8,
        elinewidth=0.8,
    )


def _draw_deviations(axes: Axes, numbers: pd.DataFrame, shapes: list[str]) -> None:
    """Every lattice and mu, one colour for each quantity, and the Monte-Carlo error as a band."""
    axes.axhspan(-1, 1, color="0.9", linewidth=0, zorder=0)
    for quantity, name in QUANTITIES.items():
        rows, colour = numbers[numbers["quantity"] == quantity], QUANTITY_COLOURS[quantity]
        for i, (shape, marker) in enumerate(zip(shapes, MARKERS * len(shapes), strict=False)):
            here, label = rows[rows["shape"] == shape], name if i == 0 else "_"
            axes.plot(here["mu"], here["deviation"], marker, markersize=2.4, color=colour, label=label)
    axes.set(ylabel="deviation\n(MC errors)", ylim=_symmetric(axes.get_ylim()))
    axes.legend(loc="lower right", ncols=2, markerscale=1.8)


def _symmetric(limits: tuple[float, float]) -> tuple[float, float]:
    largest = max(1.3, *map(abs, limits))
    return -largest, largest


def _legend(axes: Axes, shapes: list[str], colours: np.ndarray) -> None:
    style: dict[str, Any] = {"markerfacecolor": "white", "markersize": 4}
    lattices = [
        Line2D([], [], color=colour, marker=marker, label=shape.replace("x", r"$\times$"), **style)
        for shape, colour, marker in zip(shapes, colours, MARKERS * len(shapes), strict=False)
    ]
    first = axes.legend(handles=lattices, loc="upper left", title=r"$N_t\times N_x$", title_fontsize="small")
    axes.add_artist(first)
    kinds = [
        Line2D([], [], color="0.3", marker="o", linestyle="", label="Monte Carlo", **style),
        Line2D([], [], color="0.3", linewidth=1.1, label="EQ network"),
    ]
    axes.legend(handles=kinds, loc="upper left", bbox_to_anchor=(0.22, 1))


FIGURE = Figure(
    "fig3",
    "Figure 3. Density and |phi|^2 against mu for every lattice: Monte-Carlo means with errors, and the mean "
    "predictions of the best EQ instance, which was trained at one mu and one lattice size.",
    "The predictions stay very close to the true values at every mu and size, and show the onset on 200x10.",
    shows,
    numbers,
    draw,
)
