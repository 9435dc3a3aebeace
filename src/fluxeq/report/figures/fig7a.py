"""Figure 7a: counting open worms against their number, on the smallest lattice, over all couplings of the test."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from fluxeq.analysis.spread import loss_and_accuracy
from fluxeq.analysis.tables import final, metrics, select, shapes
from fluxeq.report.figures import bands, canvas


def numbers(run: Path) -> pd.DataFrame:
    """The spread of loss and accuracy over the instances, for each architecture and number of worms."""
    rows = final(run, metrics(run), "counting", augmentation=False)
    return loss_and_accuracy(select(rows, shape=shapes(rows)[0]), "n_worms")


@canvas.styled
def draw(numbers: pd.DataFrame) -> Figure:
    """Loss above accuracy."""
    figure, panels = canvas.panels(2, 2.1)
    bands.draw_loss_and_accuracy(panels, numbers, "n_worms", "squared error of the number")
    bands.ticks_at(panels[-1], numbers["n_worms"])
    panels[-1].set_xlabel(r"number of open worms $N_\mathrm{worms}$")
    bands.legend(figure, numbers)
    return figure
