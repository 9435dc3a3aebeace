"""Figure 3: n and |phi|^2 against mu on every lattice, Monte Carlo against the best EQ instance.

Trained at one mu on one lattice; the best instance is the one with the lowest loss there, among those that were trained
on the most configurations. Errors are those of the Monte-Carlo means, and absent where the series is constant. Below,
the mean difference of prediction and truth on the same configurations, in units of that error.
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
from fluxeq.analysis.tables import Results, select
from fluxeq.report.figures import bands, canvas
from fluxeq.report.figures.figure import Figure
from fluxeq.study.family import PROTOCOLS
from fluxeq.study.study import Study

SECTION, ARCHITECTURE = "regression", "EQ"
"""What is shown: the first family of each protocol, without augmentation."""
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
    first = {name: results.of(name).families(SECTION, ARCHITECTURE, augmentation=False)[:1] for name in PROTOCOLS}
    trained_at = results.trained_at(SECTION)
    rows = [select(results.final(SECTION), family=family) for families in first.values() for family in families]
    best = (
        pd.concat(best_instance(of_one, trained_at) for of_one in rows)
        .sort_values("mu")
        .sort_values("shape", key=sizes, kind="stable")
    )
    best = best.sort_values("target", key=lambda target: target.map(list(QUANTITIES).index), kind="stable")
    names = {"target": "quantity", "truth": "truth", "truth_error": "truth_error", "mean": "prediction"}
    names |= {"bias": "difference", "bias_error": "difference_error"}
    table = best.rename(columns=names)[["protocol", "model", "shape", "mu", *names.values()]].reset_index(drop=True)
    errors = table["truth_error"].where(table["truth_error"] > 0)
    return table.assign(deviation=table["difference"] / errors)


def draw(numbers: pd.DataFrame) -> Picture:
    """Points with errors for the truth, lines for the prediction, one colour per lattice; deviations below."""
    protocols, shapes = bands.by_protocol(numbers), list(numbers["shape"].unique())
    figure, panels = canvas.panels(3, len(protocols), 2.3, ratios=(3, 3, 1.6))
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.88, len(shapes)))
    for column, (protocol, of) in zip(panels.T, protocols, strict=True):
        for axes, quantity in zip(column, QUANTITIES, strict=False):
            for shape, colour, marker in zip(shapes, colours, MARKERS * len(shapes), strict=False):
                _draw_lattice(axes, of[(of["shape"] == shape) & (of["quantity"] == quantity)], colour, marker)
        _draw_deviations(column[2], of, shapes)
        column[0].set_title(protocol)
        column[2].set_xlabel(r"chemical potential $\mu$ (lattice units)")
    for axes, name in zip(panels[:, 0], QUANTITIES.values(), strict=False):
        axes.set_ylabel(f"{name} (lattice units)")
    panels[2, 0].set_ylabel("mean difference\n(MC errors)")
    _legend(panels[0, 0], shapes, colours)
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
    axes.set_ylim(_symmetric(axes.get_ylim()))
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
