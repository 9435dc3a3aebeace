"""Figure 7b: counting open worms against the size of the lattice, over all couplings and numbers of the test."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from fluxeq.analysis.spread import any_size, loss_and_accuracy
from fluxeq.analysis.tables import final, metrics
from fluxeq.report.figures import bands, canvas


def numbers(run: Path) -> pd.DataFrame:
    """The spread of loss and accuracy over the instances, for each architecture and lattice, smallest first."""
    return loss_and_accuracy(any_size(final(run, metrics(run), "counting", augmentation=False)), "shape")


@canvas.styled
def draw(numbers: pd.DataFrame) -> Figure:
    """Loss above accuracy."""
    figure, panels = canvas.panels(2, 2.1)
    bands.draw_loss_and_accuracy(panels, numbers, "shape", "squared error of the number")
    bands.legend(figure, numbers)
    return figure
