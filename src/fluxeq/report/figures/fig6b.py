"""Figure 6b: detection of an open worm against the size of the lattice, over all eta and mu of the test."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from fluxeq.analysis.spread import any_size, loss_and_accuracy
from fluxeq.analysis.tables import final, metrics
from fluxeq.report.figures import bands, canvas


def numbers(run: Path) -> pd.DataFrame:
    """The spread of loss and accuracy over the instances, for each architecture and lattice, smallest first."""
    return loss_and_accuracy(any_size(final(run, metrics(run), "detection", augmentation=False)), "shape")


@canvas.styled
def draw(numbers: pd.DataFrame) -> Figure:
    """Loss above accuracy."""
    figure, panels = canvas.panels(2, 2.1)
    bands.draw_loss_and_accuracy(panels, numbers, "shape", "cross-entropy")
    bands.legend(figure, numbers)
    return figure
