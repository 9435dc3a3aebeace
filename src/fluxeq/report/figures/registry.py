"""The registry of figures (entry points of ``fluxeq.figures``), and writing them to files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fluxeq.analysis.tables import Results
from fluxeq.errors import InputError
from fluxeq.registry import Registry
from fluxeq.report.figures import canvas, search, selection
from fluxeq.report.figures.figure import Figure
from fluxeq.system.files import whole


def _require_figure(name: str, found: Any) -> Figure:
    if not isinstance(found, Figure):
        raise InputError(f"figure {name!r}: must be an instance of fluxeq.report.figures.figure.Figure")
    if ":" not in name and found.name != name:
        raise InputError(f"figure {name!r}: its name is {found.name!r}; the names must agree")
    return found


_PAPER = ("fig1", "fig2", "fig3", "fig4", "fig5a", "fig5b", "fig6a", "fig6b", "fig7a", "fig7b")
_FURTHER = ("learning", "search", "selection", "sampling")
FIGURES: Registry[Figure] = Registry("figure", "figures", _require_figure, *_PAPER, *_FURTHER)
"""All figures by name, those of the paper first."""
OF_SEARCHES = {"search": search.numbers_of, "selection": selection.numbers_of}
"""Figures that show only searches, with functions that get their numbers from search folders and the study."""


def write_figure(run: Path, name: str) -> list[Path]:
    """Write one figure of a run as csv, pdf and png to its folder ``figures``; returns the paths in this order.

    Raises InputError for an unknown name, or if the run lacks the data.
    """
    figure = FIGURES[name]
    return _write(figure, figure.numbers(run), run / "figures")


def write_search(folder: Path) -> list[Path]:
    """Write the figure of a single search into its folder, beside its results."""
    return _write(search.FIGURE, search.numbers_of([folder]), folder)


def write_searches(run: Path, name: str, folders: Sequence[Path]) -> list[Path]:
    """Write one of the figures ``OF_SEARCHES`` for some searches of a run to its folder ``figures``."""
    return _write(FIGURES[name], OF_SEARCHES[name](folders, Results(run).study), run / "figures")


def _write(figure: Figure, numbers: pd.DataFrame, folder: Path) -> list[Path]:
    table, *pictures = [folder / f"{figure.name}.{suffix}" for suffix in ("csv", "pdf", "png")]
    with whole(table) as temporary:
        numbers.to_csv(temporary, index=False)
    drawn = figure.draw(numbers)
    for picture in pictures:
        canvas.save(drawn, picture)
    return [table, *pictures]
