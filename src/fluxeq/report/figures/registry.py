"""The registry of figures (entry points of ``fluxeq.figures``), and writing them to files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fluxeq.errors import InputError
from fluxeq.registry import Registry
from fluxeq.report.figures import canvas
from fluxeq.report.figures.figure import Figure, OfScores, OfSearches
from fluxeq.study.section import Section
from fluxeq.system.files import write_text


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


def write_figure(run: Path, name: str) -> list[Path]:
    """Write one figure of a run as csv, pdf and png to its folder ``figures``; returns the paths in this order.

    Raises InputError for an unknown name, or if the run lacks the data.
    """
    figure = FIGURES[name]
    return _write(figure, figure.numbers(run), run / "figures")


def write_searches(folders: Sequence[Path], name: str, sections: Mapping[str, Section], place: Path) -> list[Path]:
    """Write a figure of some searches to a folder; returns the paths. Raises InputError if it shows more."""
    numbers = FIGURES[name].numbers
    if not isinstance(numbers, OfSearches):
        raise InputError(f"figure {name!r}: shows more than searches")
    return _write(FIGURES[name], numbers.numbers(folders, sections), place)


def write_scores(files: Sequence[Path], name: str, output: Path, shape: str | None = None) -> None:
    """Draw a figure from tables of scores without a run; ``output`` is an image, or a csv file with its numbers.

    ``shape`` is the lattice on which their networks were trained. Raises InputError for another file type, a figure
    that shows more than scores, or tables without the data for it.
    """
    numbers = FIGURES[name].numbers
    if not isinstance(numbers, OfScores):
        names = (other for other in FIGURES if isinstance(FIGURES[other].numbers, OfScores))
        raise InputError(f"figure {name!r}: needs a run, not only scores; from tables: {', '.join(names)}")
    if output.suffix not in (".csv", ".pdf", ".png"):
        raise InputError(f"output {str(output)!r}: must end in .png, .pdf or .csv")
    found = numbers.of_tables(files, shape)
    if output.suffix == ".csv":
        write_text(output, found.to_csv(index=False))
    else:
        canvas.save(FIGURES[name].draw(found), output)


def _write(figure: Figure, numbers: pd.DataFrame, folder: Path) -> list[Path]:
    table, *pictures = [folder / f"{figure.name}.{suffix}" for suffix in ("csv", "pdf", "png")]
    write_text(table, numbers.to_csv(index=False))
    drawn = figure.draw(numbers)
    for picture in pictures:
        canvas.save(drawn, picture)
        drawn.set_layout_engine("none")  # the positions found for the first hold for all, and take long to find
    return [table, *pictures]
