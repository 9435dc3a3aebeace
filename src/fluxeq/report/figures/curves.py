"""Learning curves of trained models: training (thin) and validation loss (thick) per epoch."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import matplotlib.style
from matplotlib.figure import Figure

from fluxeq.analysis.curves import learning_curve
from fluxeq.errors import InputError
from fluxeq.report.figures.canvas import STYLE, WIDTH, save

MOST_NAMES = 12
"""Maximum number of names in a legend."""


def save_curves(files: Sequence[Path], path: Path) -> None:
    """Plot the curves of model files or curve files; the epoch with the lowest validation loss is marked.

    Raises InputError for an unsupported image format, and for a file that is not a learning curve.
    """
    if path.suffix not in (".png", ".pdf"):
        raise InputError(f"output {str(path)!r}: must end in .png or .pdf")
    tables = {file: learning_curve(file) for file in files}
    for file, table in tables.items():
        if not (table["validation_loss"] > 0).any():
            raise InputError(f"{file}: no finite loss to draw")
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
