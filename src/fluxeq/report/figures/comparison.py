"""Figures 4, 6 and 7: comparison of all families of a section as a function of one column of the scores."""

from functools import partial

import pandas as pd
from matplotlib.figure import Figure as Picture

from fluxeq.analysis.architectures import is_bound
from fluxeq.analysis.scores import Scores
from fluxeq.analysis.spread import spread
from fluxeq.report.figures import canvas, points
from fluxeq.report.figures.figure import Figure, OfScores
from fluxeq.study.study import Study

AXES = {
    "shape": r"lattice size $N_t\times N_x$",
    "mu": r"chemical potential $\mu$ (lattice units)",
    "n_worms": r"number of open worms $N_\mathrm{worms}$",
}


def comparison(
    name: str, section: str, by: str, labels: dict[str, str], caption: str, paper: str, height: float = 2.1
) -> Figure:
    """A figure with one panel per quantity (loss or accuracy) for the largest training set.

    As a function of the shape, families that work on any lattice are shown; otherwise, all on the training lattice.
    """

    def shows(study: Study) -> bool:
        if section not in study.tasks:
            return False
        test, families = study.tasks[section].test, study.tasks[section].families.values()
        columns = {"shape", *test.couplings, *(["n_worms"] if test.n_worms else [])}
        return by in columns and any(
            not family.augmentation and not (by == "shape" and is_bound(family.architecture)) for family in families
        )

    def numbers(scores: Scores) -> pd.DataFrame:
        rows = scores.having(scores.largest[~scores.largest["augmentation"]], by)
        rows = _any_size(scores, rows) if by == "shape" else scores.on_training_lattice(rows)
        table = pd.concat([spread(rows, quantity, by) for quantity in labels], ignore_index=True)
        return table.assign(trained=table[by].isin(scores.trained.get(by, [])))

    def draw(numbers: pd.DataFrame) -> Picture:
        protocols, trained = points.by_protocol(numbers), numbers.loc[numbers["trained"], by].unique()
        figure, panels = canvas.panels(len(labels), len(protocols), height)
        shapes = list(numbers["shape"].unique()) if by == "shape" else []
        for column, (_, rows) in zip(panels.T, protocols, strict=True):
            for axes, quantity in zip(column, labels, strict=True):
                points.draw_quantity(axes, rows, quantity, by, shapes)
                points.mark_trained(axes, [shapes.index(shape) for shape in trained] if shapes else trained)
                axes.set(xlabel="", ylabel="")
            if by != "shape":
                points.ticks_at(column[-1], numbers[by])
            column[-1].set_xlabel(AXES.get(by, by))
        for axes, label in zip(panels[:, 0], labels.values(), strict=True):
            axes.set_ylabel(label)
        points.legend(figure, list(panels[0]), numbers, lines=by != "shape", trained=len(trained) > 0)
        return figure

    return Figure(
        name,
        f"{caption} Families are shifted horizontally for visibility.",
        paper,
        shows,
        OfScores(section, numbers),
        draw,
        partial(points.alt_text, x=by),
    )


def _any_size(scores: Scores, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of families that work on any lattice. Raises InputError if there are none."""
    bound = [name for name in rows["architecture"].unique() if is_bound(name)]
    return scores.require(rows[~rows["architecture"].isin(bound)], f"of an architecture other than {', '.join(bound)}")
