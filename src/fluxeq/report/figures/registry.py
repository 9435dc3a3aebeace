"""The registry of figures: the name of each, how its numbers are found in a run, and how they are drawn.

A further figure is a module with ``numbers`` and ``draw`` beside the others, and an entry here.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from fluxeq.errors import InputError
from fluxeq.report.figures import canvas, fig1, fig2, fig3, fig4, fig5a, fig5b, fig6a, fig6b, fig7a, fig7b, search
from fluxeq.system.files import whole


class PaperFigure(NamedTuple):
    """A figure: exactly the numbers that it shows, and the picture of them."""

    numbers: Callable[[Path], pd.DataFrame]
    draw: Callable[[pd.DataFrame], Figure]


FIGURES = {
    "fig1": PaperFigure(fig1.numbers, fig1.draw),
    "fig2": PaperFigure(fig2.numbers, fig2.draw),
    "fig3": PaperFigure(fig3.numbers, fig3.draw),
    "fig4": PaperFigure(fig4.numbers, fig4.draw),
    "fig5a": PaperFigure(fig5a.numbers, fig5a.draw),
    "fig5b": PaperFigure(fig5b.numbers, fig5b.draw),
    "fig6a": PaperFigure(fig6a.numbers, fig6a.draw),
    "fig6b": PaperFigure(fig6b.numbers, fig6b.draw),
    "fig7a": PaperFigure(fig7a.numbers, fig7a.draw),
    "fig7b": PaperFigure(fig7b.numbers, fig7b.draw),
    "search": PaperFigure(search.numbers, search.draw),
}


def require_figure(name: str) -> None:
    """Raise InputError for a name that is not in the registry."""
    if name not in FIGURES:
        raise InputError(f"figure {name!r}: choose one of {', '.join(FIGURES)}")


def write_figure(run: Path, name: str) -> list[Path]:
    """Write one figure of a run as csv, pdf and png into its folder ``figures``; the paths, in this order.

    Raises InputError for an unknown name, or if the run lacks what the figure shows.
    """
    require_figure(name)
    return _write(FIGURES[name], FIGURES[name].numbers(run), run / "figures", name)


def write_search(folder: Path) -> list[Path]:
    """Write the figure of a single search into its folder, beside its results."""
    return _write(FIGURES["search"], search.numbers_of([folder]), folder, "search")


def write_searches(run: Path, folders: Sequence[Path]) -> list[Path]:
    """Write the figure of some of the searches of a run into its folder ``figures``."""
    return _write(FIGURES["search"], search.numbers_of(folders), run / "figures", "search")


def _write(figure: PaperFigure, numbers: pd.DataFrame, folder: Path, name: str) -> list[Path]:
    table, *pictures = [folder / f"{name}.{suffix}" for suffix in ("csv", "pdf", "png")]
    with whole(table) as temporary:
        numbers.to_csv(temporary, index=False)
    drawn = figure.draw(numbers)
    for picture in pictures:
        canvas.save(drawn, picture)
    return [table, *pictures]
