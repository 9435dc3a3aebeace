"""The paper that figures are drawn on: the style of the package, panels, and files that are equal for equal numbers."""

import io
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Literal

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fluxeq.system.files import whole

STYLE = ["default", "fluxeq.report.figures.fluxeq"]
"""Matplotlib's defaults, then ``fluxeq.mplstyle`` as a resource of this package."""
WIDTH = 5.2
"""Inches; a figure that fills a column and a half of a journal."""
FURTHER_WIDTH = 4.4
"""Of each column of panels, where there are several."""
NO_DATES = {"pdf": {"CreationDate": None, "Producer": None, "Creator": None}, "png": {"Software": None}}


def styled(draw: Callable[[pd.DataFrame], Figure]) -> Callable[[pd.DataFrame], Figure]:
    """The same drawing in the style of the package, whatever the settings of the user are."""

    @wraps(draw)
    def in_style(numbers: pd.DataFrame) -> Figure:
        with matplotlib.style.context(STYLE):
            return draw(numbers)

    return in_style


def panels(
    rows: int,
    columns: int,
    height: float,
    *,
    sharex: bool = True,
    sharey: bool | Literal["row"] = "row",
    ratios: Sequence[float] | None = None,
) -> tuple[Figure, np.ndarray]:
    """A figure of ``(rows, columns)`` panels of ``height`` inches (on average, with ``ratios``).

    They are on one horizontal axis, unless ``sharex`` is false; ``sharey`` makes the vertical axes equal, those of a
    row or all of them.
    """
    width = WIDTH if columns == 1 else FURTHER_WIDTH * columns
    figure = Figure(figsize=(width, rows * height + 1.1), layout="constrained")
    return figure, figure.subplots(rows, columns, sharex=sharex, sharey=sharey, squeeze=False, height_ratios=ratios)


def save(figure: Figure, path: Path) -> None:
    """Write the figure in the format of the suffix, pdf or png; the file holds neither date nor version."""
    kind, picture = path.suffix[1:], io.BytesIO()  # in memory: on a full disk matplotlib fails with errors of its own
    with matplotlib.style.context(STYLE):
        figure.savefig(picture, format=kind, metadata=NO_DATES[kind])
    with whole(path) as temporary:
        temporary.write_bytes(picture.getvalue())
