"""Figure 2: test loss against the size of the training set, on the training lattice over all mu of the test.

The first panel compares all architectures without augmentation; each further one shows an architecture with and without
it beside EQ.
"""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure as Picture
from matplotlib.ticker import LogLocator, NullFormatter

from fluxeq.analysis.spread import spread
from fluxeq.analysis.tables import Results
from fluxeq.report.figures import bands, canvas
from fluxeq.report.figures.figure import Figure
from fluxeq.study.study import Study
from fluxeq.study.values import named

SECTION, REFERENCE = "regression", "EQ"
"""What is shown, and the architecture whose first family is in every panel."""


def shows(study: Study) -> bool:
    """Whether there is a regression."""
    return SECTION in study.tasks


def numbers(run: Path) -> pd.DataFrame:
    """The spread of the losses over the instances, for each panel, family and size of the training set."""
    results = Results(run)
    found = spread(results.scores(SECTION, shape=named(results.section(SECTION).shape)), "loss", "n_training")
    panels = {"no augmentation": found[~found["augmentation"]]}
    plain = results.first_families(SECTION, panels["no augmentation"])
    reference = found["family"].isin(plain.loc[plain["architecture"] == REFERENCE, "family"])
    for name in found.loc[found["augmentation"], "architecture"].unique():
        panels[f"{name} with augmentation"] = found[reference | (found["architecture"] == name)]
    panels = {title: rows for title, rows in panels.items() if len(rows)}
    return pd.concat(panels, names=["panel"]).reset_index("panel").reset_index(drop=True)


def draw(numbers: pd.DataFrame) -> Picture:
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


FIGURE = Figure(
    "fig2",
    "Figure 2. Test loss on the training lattice, over all mu of the test, against the size of the training "
    "set. Bands run from the best to the worst instance; dashed: mean; line: median.",
    "EQ lies far below ST and FL and improves with more data; ST and FL hardly do, augmented or not.",
    shows,
    numbers,
    draw,
)
