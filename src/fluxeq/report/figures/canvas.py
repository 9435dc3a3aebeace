"""Common basis of figures: plot style, panels, and reproducible output files."""

import io
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Literal

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fluxeq.system.files import atomic_write

STYLE = ["default", "fluxeq.report.figures.fluxeq"]
"""Matplotlib's defaults, then ``fluxeq.mplstyle`` of this package."""
WIDTH = 5.2
"""Inches; one and a half columns of a journal."""
FURTHER_WIDTH = 4.4
"""Width per column of panels, if there are several."""
NO_DATES = {"pdf": {"CreationDate": None, "Producer": None, "Creator": None}, "png": {"Software": None}}


def styled(draw: Callable[[pd.DataFrame], Figure]) -> Callable[[pd.DataFrame], Figure]:
    """Decorator that applies the style of the package, independent of user settings."""

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

    Panels share the horizontal axis unless ``sharex`` is false; ``sharey`` shares the vertical axes of a row or of all.
    """
    width = WIDTH if columns == 1 else FURTHER_WIDTH * columns
    figure = Figure(figsize=(width, rows * height + 1.1), layout="constrained")
    return figure, figure.subplots(rows, columns, sharex=sharex, sharey=sharey, squeeze=False, height_ratios=ratios)


def save(figure: Figure, path: Path) -> None:
    """Write the figure as pdf or png according to the suffix, without date or version."""
    kind, picture = path.suffix[1:], io.BytesIO()  # in memory: on a full disk matplotlib raises other errors
    with matplotlib.style.context(STYLE):
        figure.savefig(picture, format=kind, metadata=NO_DATES[kind])
    with atomic_write(path) as temporary:
        temporary.write_bytes(picture.getvalue())
