"""Figures 4, 6 and 7: all families of a section side by side, against one column of the scores."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure as Picture

from fluxeq.analysis.architectures import is_bound
from fluxeq.analysis.spread import any_size, spread
from fluxeq.analysis.tables import Results
from fluxeq.report.figures import bands, canvas
from fluxeq.report.figures.figure import Figure
from fluxeq.study.study import Study
from fluxeq.study.values import named

AXES = {
    "shape": r"lattice size $N_t\times N_x$",
    "mu": r"chemical potential $\mu$ (lattice units)",
    "n_worms": r"number of open worms $N_\mathrm{worms}$",
}


def comparison(
    name: str, section: str, by: str, labels: dict[str, str], caption: str, paper: str, height: float = 2.1
) -> Figure:
    """A panel for each quantity with a label, loss or accuracy, over the instances trained on the most configurations.

    Against the shape: families that are not bound to one lattice; against any other column: on the training lattice.
    """

    def shows(study: Study) -> bool:
        if section not in study.tasks:
            return False
        test, families = study.tasks[section].test, study.tasks[section].families.values()
        columns = {"shape", *test.couplings, *(["n_worms"] if test.n_worms else [])}
        return by in columns and any(
            not family.augmentation and not (by == "shape" and is_bound(family.architecture)) for family in families
        )

    def numbers(run: Path) -> pd.DataFrame:
        results = Results(run)
        shape = {} if by == "shape" else {"shape": named(results.section(section).shape)}
        rows = results.final(section, augmentation=False, **shape)
        rows = any_size(rows) if by == "shape" else rows
        return pd.concat([spread(rows, quantity, by) for quantity in labels], ignore_index=True)

    def draw(numbers: pd.DataFrame) -> Picture:
        protocols = bands.by_protocol(numbers)
        figure, panels = canvas.panels(len(labels), len(protocols), height)
        for column, (_, rows) in zip(panels.T, protocols, strict=True):
            for axes, quantity in zip(column, labels, strict=True):
                bands.draw_quantity(axes, rows, quantity, by)
                axes.set(xlabel="", ylabel="")
            if by != "shape":
                bands.ticks_at(column[-1], numbers[by])
            column[-1].set_xlabel(AXES.get(by, by))
        for axes, label in zip(panels[:, 0], labels.values(), strict=True):
            axes.set_ylabel(label)
        bands.legend(figure, list(panels[0]), numbers)
        return figure

    return Figure(name, caption, paper, shows, numbers, draw)
