"""Figure 1, measured: how far each architecture is from translational symmetry.

    error = max over translations T of |net(T x) - net(x)| / max |net(x)|

over all translations, and over those by multiples of the strides only (which FL does not have), of the first instance
of each family.
"""

import math
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture

from fluxeq.analysis.tables import Results
from fluxeq.report.figures.bands import KNOWN
from fluxeq.report.figures.figure import Figure
from fluxeq.study.study import Study

ROUNDING = 1e-9
"""An error below this is rounding of float64 in a deep sum; broken symmetries are five orders and more above it."""
ERRORS = ("translation_error", "residual_error")

COLUMNS = {
    "task": (0.0, "left"),
    "network": (0.125, "left"),
    "parameters": (0.37, "right"),
    "stride": (0.45, "right"),
    "all translations": (0.51, "left"),
    "multiples of the stride": (0.765, "left"),
}
"""Where each column stands in the width of the figure, and its alignment."""
ROW = 0.23
"""Inches per line."""
HOLDS, BROKEN = ("\N{CHECK MARK}", KNOWN["EQ"][0].colour), ("\N{BALLOT X}", KNOWN["ST"][0].colour)
NONE = "\N{EN DASH}"


def shows(study: Study) -> bool:
    """Whether any networks are trained."""
    return any(not family.function for section in study.tasks.values() for family in section.families.values())


def numbers(run: Path) -> pd.DataFrame:
    """One row per task and family."""
    return Results(run).measurement("translation")


def draw(numbers: pd.DataFrame) -> Picture:
    """A table with rules: a tick where a symmetry holds to rounding, a cross where not."""
    figure = Picture(figsize=(7.4, ROW * (len(numbers) + 3.4)))
    axes = figure.add_axes((0.02, 0.01, 0.96, 0.98))
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(len(numbers) + 1.7, -1.7))
    for line, width in ((-1.6, 1), (0.5, 0.6), (len(numbers) + 0.5, 1)):
        axes.hlines(line, 0, 1, color="black", linewidth=width)
    _text(axes, -1, "all translations", "largest relative change of the output under")
    for column in COLUMNS:
        _text(axes, 0, column, column)
    task = None
    for line, row in enumerate(numbers.to_dict("records"), start=1):
        if row["task"] != task:
            task = row["task"]
            _text(axes, line, "task", task)
            axes.hlines(line - 0.5, 0, 1, color="0.7", linewidth=0.4, zorder=0)
        _draw_row(axes, line, row)
    axes.text(0, len(numbers) + 1.1, "Double precision; the first instance of each family.", va="center")
    return figure


def _text(axes: Axes, line: int, column: str, text: str, **style: Any) -> None:
    place, alignment = COLUMNS[column]
    axes.text(place, line, text, ha=alignment, va="center", **style)


def _draw_row(axes: Axes, line: int, row: dict[str, Any]) -> None:
    _text(axes, line, "network", row["family"])
    _text(axes, line, "parameters", f"{row['n_parameters']:,}")
    _text(axes, line, "stride", NONE if pd.isna(row["stride"]) else str(row["stride"]))
    for column, name in zip(list(COLUMNS)[-2:], ERRORS, strict=True):
        error = row[name]
        if math.isnan(error):
            _text(axes, line, column, NONE)
            continue
        mark, colour = HOLDS if error < ROUNDING else BROKEN
        _text(axes, line, column, mark, color=colour)
        axes.text(COLUMNS[column][0] + 0.024, line, _scientific(error), va="center")


def _scientific(value: float) -> str:
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits, exponent = f"{value:.0e}".split("e")
    return rf"${digits}\times 10^{{{int(exponent)}}}$"


FIGURE = Figure(
    "fig1",
    "Figure 1. How far translations change the output of a trained network: over all translations, and over "
    "those by multiples of its strides. FL has no smaller group left.",
    "EQ is equivariant exactly, ST under multiples of its strides only, FL not at all.",
    shows,
    numbers,
    draw,
)
