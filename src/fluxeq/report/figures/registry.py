"""The registry of figures, entry points of ``fluxeq.figures``, and how they get into files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fluxeq.errors import InputError
from fluxeq.registry import Registry
from fluxeq.report.figures import canvas
from fluxeq.report.figures.figure import Figure, OfScores, OfSearches
from fluxeq.study.section import Section
from fluxeq.system.files import whole, write_text


def _require_figure(name: str, found: Any) -> Figure:
    if not isinstance(found, Figure):
        raise InputError(f"figure {name!r}: an instance of fluxeq.report.figures.figure.Figure is needed")
    if ":" not in name and found.name != name:
        raise InputError(f"figure {name!r}: calls itself {found.name!r}; one name is needed")
    return found


_PAPER = ("fig1", "fig2", "fig3", "fig4", "fig5a", "fig5b", "fig6a", "fig6b", "fig7a", "fig7b")
_FURTHER = ("learning", "search", "selection", "sampling")
FIGURES: Registry[Figure] = Registry("figure", "figures", _require_figure, *_PAPER, *_FURTHER)
"""All figures by name, those of the paper first."""


def write_figure(run: Path, name: str) -> list[Path]:
    """Write one figure of a run as csv, pdf and png into its folder ``figures``; the paths, in this order.

    Raises InputError for an unknown name, or if the run lacks what the figure shows.
    """
    figure = FIGURES[name]
    return _write(figure, figure.numbers(run), run / "figures")


def write_searches(folders: Sequence[Path], name: str, sections: Mapping[str, Section], place: Path) -> list[Path]:
    """Write a figure of some searches into a folder; the paths. Raises InputError if it shows anything else."""
    numbers = FIGURES[name].numbers
    if not isinstance(numbers, OfSearches):
        raise InputError(f"figure {name!r}: shows more than searches")
    return _write(FIGURES[name], numbers.numbers(folders, sections), place)


def write_scores(files: Sequence[Path], name: str, output: Path, shape: str | None = None) -> None:
    """Draw a figure of tables of scores without a run; ``output`` is a picture, or a csv with its numbers.

    ``shape`` is the lattice that their networks were trained on. Raises InputError for a file of another kind, a figure
    that shows more than scores, or tables without what it shows.
    """
    numbers = FIGURES[name].numbers
    if not isinstance(numbers, OfScores):
        names = (other for other in FIGURES if isinstance(FIGURES[other].numbers, OfScores))
        raise InputError(f"figure {name!r}: shows more than scores, so it needs a run; of tables: {', '.join(names)}")
    if output.suffix not in (".csv", ".pdf", ".png"):
        raise InputError(f"output {str(output)!r}: a figure is a .png or a .pdf, its numbers are a .csv")
    found = numbers.of_tables(files, shape)
    if output.suffix == ".csv":
        write_text(output, found.to_csv(index=False))
    else:
        canvas.save(FIGURES[name].draw(found), output)


def _write(figure: Figure, numbers: pd.DataFrame, folder: Path) -> list[Path]:
    table, *pictures = [folder / f"{figure.name}.{suffix}" for suffix in ("csv", "pdf", "png")]
    with whole(table) as temporary:
        numbers.to_csv(temporary, index=False)
    drawn = figure.draw(numbers)
    for picture in pictures:
        canvas.save(drawn, picture)
    return [table, *pictures]
