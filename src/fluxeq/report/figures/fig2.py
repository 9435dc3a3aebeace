"""Figure 2: test loss as a function of the training-set size, on the training lattice over all mu of the test.

The first row compares all families without augmentation; the others show the augmented families of one architecture
together with EQ. One column per protocol.
"""

import pandas as pd
from matplotlib.figure import Figure as Picture

from fluxeq.analysis.scores import Scores
from fluxeq.analysis.spread import spread
from fluxeq.report.figures import canvas, points
from fluxeq.report.figures.figure import Figure, OfScores
from fluxeq.report.figures.looks import styles_of

SECTION, REFERENCE = "regression", "EQ"
"""The section shown, and the architecture whose first family is in every panel."""


def numbers(scores: Scores) -> pd.DataFrame:
    """The spread of the losses over the instances, for each panel, family and size of the training set."""
    rows = scores.on_training_lattice(scores.rows)
    found = spread(rows, "loss", "n_training")
    panels = {"no augmentation": found[~found["augmentation"]]}
    reference = found["family"].isin(points.first_families(rows, REFERENCE))
    for name in found.loc[found["augmentation"], "architecture"].unique():
        augmented = found["augmentation"] & (found["architecture"] == name)
        panels[f"{name} with augmentation"] = found[reference | augmented]
    panels = {title: rows for title, rows in panels.items() if len(rows)}
    return pd.concat(panels, names=["panel"]).reset_index("panel").reset_index(drop=True)


def draw(numbers: pd.DataFrame) -> Picture:
    """Stacked panels, both axes logarithmic."""
    titles, protocols = numbers["panel"].unique(), points.by_protocol(numbers)
    figure, panels = canvas.panels(len(titles), len(protocols), 2.1, sharey=True)
    for column, (_, rows) in zip(panels.T, protocols, strict=True):
        looks = styles_of(rows)
        for axes, title in zip(column, titles, strict=True):
            axes.set(xscale="log", yscale="log")
            points.draw_points(axes, rows[rows["panel"] == title], "n_training", looks)
            axes.text(0.015, 0.04, title, transform=axes.transAxes)
        points.ticks_at(column[-1], numbers["n_training"])
        column[-1].set_xlabel("training configurations")
    loss = "test loss (mean squared error\nof $n$ and $|\\phi|^2$, lattice units)"  # fits the height of one panel
    figure.supylabel(loss, fontsize="medium", multialignment="center")
    points.legend(figure, list(panels[0]), numbers, lines=True)
    return figure


FIGURE = Figure(
    "fig2",
    "Figure 2. Test loss on the training lattice, over all mu of the test, as a function of the training-set size. "
    "Families are shifted horizontally for visibility.",
    "EQ lies far below ST and FL and improves with more data; ST and FL hardly do, augmented or not.",
    lambda study: SECTION in study.tasks,
    OfScores(SECTION, numbers),
    draw,
    lambda numbers: points.alt_text(numbers.sort_values("n_training", kind="stable"), "n_training"),
)
