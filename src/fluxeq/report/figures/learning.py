"""Learning curves: the validation loss of every instance of the largest training sets without augmentation.

A Levenberg-Marquardt step counts as an epoch. A model has the weights of its best epoch, not of the last one.
"""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure as Picture
from matplotlib.ticker import MaxNLocator

from fluxeq.analysis.curves import learning_curve
from fluxeq.analysis.tables import WAY_OUT, Results
from fluxeq.errors import InputError
from fluxeq.report.figures import canvas, fig1, points
from fluxeq.report.figures.figure import Figure
from fluxeq.report.figures.looks import styles_of

KEYS = ["task", "protocol", "family", "architecture", "augmentation", "n_training", "instance", "model"]


def numbers(run: Path) -> pd.DataFrame:
    """One row per instance and epoch. Raises InputError if there are no learning curves."""
    results = Results(run)
    largest = {name: section.n_training[-1] for name, section in results.study.tasks.items()}
    models = results.metrics[KEYS].drop_duplicates()
    models = models[~models["augmentation"] & (models["n_training"] == models["task"].map(largest))]
    found = []
    for row in models.to_dict("records"):
        path = run / row["model"]
        if row["architecture"] and path.with_suffix(".csv").is_file():
            curve = learning_curve(path)
            found.append(curve.assign(**row)[[*KEYS[:-1], *curve]])
    if not found:
        raise InputError(f"{run / 'models'}: no learning curves; {WAY_OUT}")
    return pd.concat(found, ignore_index=True)


def draw(numbers: pd.DataFrame) -> Picture:
    """Draw one row per task and one column per protocol, with a line for each instance."""
    tasks, protocols = list(numbers["task"].unique()), points.by_protocol(numbers)
    figure, panels = canvas.panels(len(tasks), len(protocols), 2.0, sharex=False)
    for column, (protocol, rows) in zip(panels.T, protocols, strict=True):
        looks = styles_of(rows)
        for axes, task in zip(column, tasks, strict=True):
            of_task = rows[(rows["task"] == task) & (rows["validation_loss"] > 0)]
            for (family, _), curve in of_task.groupby(["family", "instance"], sort=False):
                style = {"color": looks[family].colour, "linestyle": looks[family].line}
                axes.plot(curve["epoch"], curve["validation_loss"], linewidth=0.8, alpha=0.8, **style)
            axes.set(yscale="log")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set_visible(len(of_task) > 0)
        points.name_families(column[0], protocol, looks, lines=True, markers=False)
        column[-1].set_xlabel("epoch")
    for axes, task in zip(panels[:, 0], tasks, strict=True):
        axes.set_ylabel(f"{task}\nvalidation loss")
    return figure


def alt_text(numbers: pd.DataFrame) -> str:
    """The lowest validation loss of every family, median over instances, in words."""
    keys = ["task", "protocol", "family"]
    lowest = numbers.groupby([*keys, "instance"], sort=False)["validation_loss"].min()
    medians = lowest.groupby(keys, sort=False).median()
    listed = (f"{task}, {family} {loss:.2g}" for (task, _, family), loss in medians.items())
    return f"Lowest validation loss, median over the instances. {'; '.join(listed)}."


FIGURE = Figure(
    "learning",
    "Learning curves. Validation loss of every instance for the largest training sets without augmentation, including "
    "Levenberg-Marquardt steps. The model of an instance has the weights of its best epoch.",
    "",
    fig1.shows,
    numbers,
    draw,
    alt_text,
)
