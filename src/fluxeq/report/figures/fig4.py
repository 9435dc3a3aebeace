"""Figure 4: test loss against the size of the lattice, over all mu of the test.

All architectures that are not bound to one lattice, trained on the most configurations of one lattice. Lattices that
the strides of a network do not divide have no number.
"""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from fluxeq.analysis.spread import any_size, spread
from fluxeq.analysis.tables import final, metrics
from fluxeq.report.figures import bands, canvas


def numbers(run: Path) -> pd.DataFrame:
    """The spread of the losses over the instances, for each series and lattice, smallest first."""
    return spread(any_size(final(run, metrics(run), "regression", augmentation=False)), "loss", "shape")


@canvas.styled
def draw(numbers: pd.DataFrame) -> Figure:
    """One panel; the loss is logarithmic, the lattices are categories."""
    figure, (axes,) = canvas.panels(1, 2.8)
    bands.draw_sizes(axes, numbers, bands.looks_of(numbers))
    axes.set_yscale("log")
    axes.set_ylabel("test loss (mean squared error\n" r"of $n$ and $|\phi|^2$, lattice units)")
    bands.legend(figure, numbers)
    return figure
