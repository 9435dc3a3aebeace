"""Figure 3: n and |phi|^2 as functions of mu on every lattice, Monte Carlo and the best EQ instance.

The network is trained at one mu on one lattice; the best instance is the one with the lowest loss there, for the
largest training set. Errors are those of the Monte Carlo means, and absent where the series is constant. Below, the
mean difference of prediction and truth on the same configurations, in units of that error. Predictions exist at the
test points only, so they are not joined by lines.
"""

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator
from matplotlib.transforms import ScaledTranslation

from fluxeq.analysis.scores import Scores
from fluxeq.analysis.spread import best_instance, sizes
from fluxeq.analysis.tables import select
from fluxeq.report.figures import canvas, points
from fluxeq.report.figures.figure import Figure, OfScores
from fluxeq.report.figures.looks import Style
from fluxeq.study.study import Study
from fluxeq.theory import coupling_text

SECTION, ARCHITECTURE = "regression", "EQ"
"""The section and architecture shown: the first family of each protocol, without augmentation."""
QUANTITIES = {"n": r"particle density $n$", "phi2": r"$|\phi|^2$"}
MARKERS = "osD^vPX*"
LOOKS = (Style("#000000", "o"), Style("#CC79A7", "s"))
"""Looks of the two quantities."""


def shows(study: Study) -> bool:
    """Whether an EQ network is trained for the regression and tested at several mu."""
    section = study.tasks.get(SECTION)
    families = section.families.values() if section and "mu" in section.test.couplings else ()
    return any(family.architecture == "EQ" and not family.augmentation for family in families)


def numbers(scores: Scores) -> pd.DataFrame:
    """True and predicted mean of both observables for each lattice and mu."""
    rows = scores.having(scores.largest[scores.largest["target"].isin(QUANTITIES)], "mu")
    families = points.first_families(rows, ARCHITECTURE)
    scores.require(rows[rows["family"].isin(families)], f"of {ARCHITECTURE} without augmentation")
    trained_at = {name: scores.trained[name][0] for name in scores.trained if name != "n_worms"}
    best = (
        pd.concat(best_instance(select(rows, family=family), trained_at) for family in families)
        .sort_values("mu")
        .sort_values("shape", key=sizes, kind="stable")
    )
    best = best.sort_values("target", key=lambda target: target.map(list(QUANTITIES).index), kind="stable")
    names = {"target": "quantity", "truth": "truth", "truth_error": "truth_error", "mean": "prediction"}
    names |= {"bias": "difference", "bias_error": "difference_error"}
    table = best.rename(columns=names)[["protocol", "model", "shape", "mu", *names.values()]].reset_index(drop=True)
    errors = table["truth_error"].where(table["truth_error"] > 0)
    trained = (table["shape"] == trained_at.get("shape")) & (table["mu"] == trained_at.get("mu"))
    return table.assign(deviation=table["difference"] / errors, trained=trained)


def draw(numbers: pd.DataFrame) -> Picture:
    """Draw the truth as open markers with errors, predictions as crosses, one colour per lattice; deviations below."""
    protocols, shapes = points.by_protocol(numbers), list(numbers["shape"].unique())
    figure, panels = canvas.panels(3, len(protocols), 2.3, ratios=(3, 3, 1.8))
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(shapes)))
    for column, (protocol, of) in zip(panels.T, protocols, strict=True):
        for axes, quantity in zip(column, QUANTITIES, strict=False):
            for shape, colour, marker in zip(shapes, colours, MARKERS * len(shapes), strict=False):
                _draw_lattice(axes, of[(of["shape"] == shape) & (of["quantity"] == quantity)], colour, marker)
        _draw_deviations(column[2], of)
        for axes in column:
            points.mark_trained(axes, of.loc[of["trained"], "mu"].unique())
        column[0].set_title(protocol)
        column[2].set_xlabel(r"chemical potential $\mu$ (lattice units)")
    for axes, name in zip(panels[:, 0], QUANTITIES.values(), strict=False):
        axes.set_ylabel(f"{name} (lattice units)")
    panels[2, 0].set_ylabel("|mean difference|\n(Monte-Carlo errors)")
    trained = numbers.loc[numbers["trained"], "shape"].unique()
    _legend(figure, panels[0, 0], shapes, colours, f"training set ({', '.join(trained)})" if len(trained) else "")
    return figure


def _draw_lattice(axes: Axes, rows: pd.DataFrame, colour: np.ndarray, marker: str) -> None:
    errors = rows["truth_error"].fillna(0)
    style: dict[str, Any] = {"markersize": 6, "markerfacecolor": "none", "markeredgewidth": 0.8, "elinewidth": 0.8}
    axes.errorbar(rows["mu"], rows["truth"], errors, color=colour, fmt=marker, **style)
    axes.plot(rows["mu"], rows["prediction"], "x", color=colour, markersize=3.2, markeredgewidth=1.1)


def _draw_deviations(axes: Axes, numbers: pd.DataFrame) -> None:
    """Draw deviations at every lattice and mu, filled if the prediction is too high."""
    axes.set_yscale("log")
    for quantity, (name, look) in zip(QUANTITIES, zip(QUANTITIES.values(), LOOKS, strict=True), strict=True):
        rows = numbers[(numbers["quantity"] == quantity) & (numbers["deviation"] != 0)]
        style: dict[str, Any] = {"color": look.colour, "marker": look.marker, "linestyle": "", "markersize": 3.2}
        shift = ScaledTranslation((2.2 if quantity == "n" else -2.2) / 72, 0, axes.figure.dpi_scale_trans)
        for high, face in ((True, look.colour), (False, "white")):
            some = rows[(rows["deviation"] > 0) == high]
            moved: dict[str, Any] = {"transform": axes.transData + shift, "markerfacecolor": face}
            axes.plot(some["mu"], some["deviation"].abs(), label=name if high else "_", **style, **moved)
        axes.update_datalim(rows[["mu", "deviation"]].abs().dropna().to_numpy())
    axes.axhline(1, color="0.2", linewidth=0.8, linestyle="--")
    axes.autoscale_view()
    axes.yaxis.set_major_locator(LogLocator(numticks=6))


def _legend(figure: Picture, axes: Axes, shapes: list[str], colours: np.ndarray, trained: str) -> None:
    """Put lattices into the first panel and everything else below the panels."""
    style: dict[str, Any] = {"markerfacecolor": "none", "linestyle": ""}
    lattices = [
        Line2D([], [], color=colour, marker=marker, label=shape.replace("x", r"$\times$"), **style)
        for shape, colour, marker in zip(shapes, colours, MARKERS * len(shapes), strict=False)
    ]
    axes.legend(handles=lattices, loc="upper left", title=r"$N_t\times N_x$", title_fontsize="small")
    kinds = [
        Line2D([], [], color="0.3", marker="o", markersize=6, label="Monte Carlo", **style),
        Line2D([], [], color="0.3", marker="x", markersize=3.2, label="EQ network", **style),
        *([Line2D([], [], label=trained, **points.TRAINED)] if trained else []),
        Line2D([], [], color="0.2", linewidth=0.8, linestyle="--", label="one Monte-Carlo error"),
        *(
            Line2D(
                [], [], color=look.colour, marker=look.marker, linestyle="", label=f"{name}: too high (open: too low)"
            )
            for name, look in zip(("$n$", r"$|\phi|^2$"), LOOKS, strict=True)
        ),
    ]
    figure.legend(handles=kinds, loc="outside lower center", ncols=3, columnspacing=1.4)


def alt_text(numbers: pd.DataFrame) -> str:
    """The range of the truth on the largest lattice, and the largest deviation of the predictions, in words."""
    parts, last = [], numbers[numbers["shape"] == numbers["shape"].iloc[-1]].sort_values("mu")
    for quantity, of in last.groupby("quantity", sort=False):
        first, end = of.iloc[0], of.iloc[-1]
        at = [coupling_text(one["mu"]) for one in (first, end)]
        course = f"from {first['truth']:.3g} at mu = {at[0]} to {end['truth']:.3g} at {at[1]}"
        parts.append(f"{quantity} on {end['shape']} runs {course}")
    for protocol, of in points.by_protocol(numbers):
        n, far = of["deviation"].notna().sum(), (of["deviation"].abs() > 1).sum()
        worst = of["deviation"].abs().max()
        parts.append(f"{protocol}: {n - far} of {n} mean predictions within one Monte-Carlo error, {worst:.2g} at most")
    return f"{'; '.join(parts)}."


FIGURE = Figure(
    "fig3",
    "Figure 3. Density and |phi|^2 as functions of mu for every lattice: Monte Carlo means with errors, and the mean "
    "predictions of the best EQ instance, trained at one mu and one lattice size. Below, the mean difference of the "
    "two on the same configurations, divided by the error of the Monte Carlo mean.",
    "The predictions stay very close to the true values at every mu and size, and show the onset on 200x10.",
    shows,
    OfScores(SECTION, numbers),
    draw,
    alt_text,
)
