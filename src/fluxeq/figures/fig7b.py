"""Figure 7b: counting open worms against the size of the lattice, over all couplings and numbers of the test."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from fluxeq.figures import bands, canvas
from fluxeq.figures.scores import any_size, loss_and_accuracy
from fluxeq.figures.tables import final, metrics


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
