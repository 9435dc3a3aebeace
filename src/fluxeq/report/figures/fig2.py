"""Figure 2: test loss against the size of the training set, on the training lattice over all mu of the test.

The first panel compares all architectures without augmentation; each further one shows an architecture with and without
it beside EQ.
"""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from fluxeq.analysis.spread import spread
from fluxeq.analysis.tables import metrics, select, training_shape
from fluxeq.report.figures import bands, canvas

REFERENCE = "EQ"
"""The architecture that every panel shows."""


def numbers(run: Path) -> pd.DataFrame:
    """The spread of the losses over the instances, for each panel, series and size of the training set."""
    rows = select(metrics(run), group="study", task="regression", shape=training_shape(run, "regression"))
    found = spread(rows, "loss", "n_training")
    panels = {"no augmentation": found[~found["augmentation"]]}
    for name in found.loc[found["augmentation"], "architecture"].unique():
        reference = (found["architecture"] == REFERENCE) & ~found["augmentation"]
        panels[f"{name} with augmentation"] = found[reference | (found["architecture"] == name)]
    return pd.concat(panels, names=["panel"]).reset_index("panel").reset_index(drop=True)


@canvas.styled
def draw(numbers: pd.DataFrame) -> Figure:
    """Stacked panels, both axes logarithmic."""
    titles = numbers["panel"].unique()
    figure, panels = canvas.panels(len(titles), 2.1, sharey=True)
    looks = bands.looks_of(numbers)
    for axes, title in zip(panels, titles, strict=True):
        bands.draw_bands(axes, numbers[numbers["panel"] == title], "n_training", looks)
        axes.set(xscale="log", yscale="log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.text(0.015, 0.04, title, transform=axes.transAxes)
    loss = "test loss (mean squared error\nof $n$ and $|\\phi|^2$, lattice units)"  # one panel is not higher than that
    figure.supylabel(loss, fontsize="medium", multialignment="center")
    panels[-1].set_xlabel("training configurations")
    bands.legend(figure, numbers)
    return figure
