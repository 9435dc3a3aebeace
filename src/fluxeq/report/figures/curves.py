"""Learning curves of trained models: the loss of every epoch, training thin and validation thick."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import matplotlib.style
from matplotlib.figure import Figure

from fluxeq.analysis.curves import learning_curve
from fluxeq.errors import InputError
from fluxeq.report.figures.canvas import STYLE, WIDTH, save

MOST_NAMES = 12
"""In a legend."""


def save_curves(files: Sequence[Path], path: Path) -> None:
    """Draw the curves of model files, or curves as they are, with the epoch of the least validation loss marked.

    Raises InputError for a picture of another kind, and a file that is no learning curve.
    """
    if path.suffix not in (".png", ".pdf"):
        raise InputError(f"output {str(path)!r}: a picture is a .png or a .pdf")
    tables = {file: learning_curve(file) for file in files}
    for file, table in tables.items():
        if not (table["validation_loss"] > 0).any():
            raise InputError(f"{file}: holds no loss that could be drawn")
    with matplotlib.style.context(STYLE):
        figure = Figure(figsize=(WIDTH + 1.5, 3.4), layout="constrained")
        axes = figure.subplots()
        for i, (file, table) in enumerate(tables.items()):
            colour = matplotlib.colormaps["viridis"](i / max(1, len(tables)))
            axes.plot(table["epoch"], table["training_loss"], linewidth=0.6, color=colour, alpha=0.6)
            axes.plot(table["epoch"], table["validation_loss"], color=colour, label=f"{file.parent.name}/{file.stem}")
            best = table.loc[table["validation_loss"].idxmin()]
            axes.plot(best["epoch"], best["validation_loss"], "o", markersize=4, color=colour)
        axes.set(yscale="log", xlabel="epoch, then Levenberg-Marquardt steps", ylabel="loss (thin: training)")
        if len(tables) <= MOST_NAMES:
            axes.legend(fontsize="small")
    save(figure, path)
