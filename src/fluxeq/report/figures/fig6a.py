"""Figure 6a: detection of an open worm against mu, on the training lattice, over all eta of the test."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from fluxeq.analysis.spread import loss_and_accuracy
from fluxeq.analysis.tables import final, metrics, training_shape
from fluxeq.report.figures import bands, canvas


def numbers(run: Path) -> pd.DataFrame:
    """The spread of loss and accuracy over the instances, for each architecture and mu."""
    rows = final(run, metrics(run), "detection", augmentation=False, shape=training_shape(run, "detection"))
    return loss_and_accuracy(rows, "mu")


@canvas.styled
def draw(numbers: pd.DataFrame) -> Figure:
    """Loss above accuracy."""
    figure, panels = canvas.panels(2, 2.1)
    bands.draw_loss_and_accuracy(panels, numbers, "mu", "cross-entropy")
    bands.ticks_at(panels[-1], numbers["mu"])
    panels[-1].set_xlabel(r"chemical potential $\mu$ (lattice units)")
    bands.legend(figure, numbers)
    return figure
