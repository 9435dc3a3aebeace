"""The paper that figures are drawn on: the style of the package, panels, and files that are equal for equal numbers."""

import io
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path

import matplotlib.style
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fluxeq.system.files import whole

STYLE = ["default", "fluxeq.report.figures.fluxeq"]
"""Matplotlib's defaults, then ``fluxeq.mplstyle`` as a resource of this package."""
WIDTH = 5.2
"""Inches; a figure that fills a column and a half of a journal."""
NO_DATES = {"pdf": {"CreationDate": None, "Producer": None, "Creator": None}, "png": {"Software": None}}


def styled(draw: Callable[[pd.DataFrame], Figure]) -> Callable[[pd.DataFrame], Figure]:
    """The same drawing in the style of the package, whatever the settings of the user are."""

    @wraps(draw)
    def in_style(numbers: pd.DataFrame) -> Figure:
        with matplotlib.style.context(STYLE):
            return draw(numbers)

    return in_style


def panels(
    rows: int, height: float, *, sharey: bool = False, ratios: Sequence[float] | None = None
) -> tuple[Figure, list[Axes]]:
    """A figure of panels of ``height`` inches (on average, with ``ratios``), stacked on one horizontal axis.

    ``sharey`` makes the vertical axes equal.
    """
    figure = Figure(figsize=(WIDTH, rows * height + 0.8), layout="constrained")
    axes = figure.subplots(rows, 1, sharex=True, sharey=sharey, squeeze=False, height_ratios=ratios)
    return figure, list(axes[:, 0])


def save(figure: Figure, path: Path) -> None:
    """Write the figure in the format of the suffix, pdf or png; the file holds neither date nor version."""
    kind, picture = path.suffix[1:], io.BytesIO()  # in memory: on a full disk matplotlib fails with errors of its own
    with matplotlib.style.context(STYLE):
        figure.savefig(picture, format=kind, metadata=NO_DATES[kind])
    with whole(path) as temporary:
        temporary.write_bytes(picture.getvalue())
