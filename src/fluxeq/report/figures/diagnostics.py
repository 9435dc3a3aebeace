"""What a Monte-Carlo run looks like: history, autocorrelation and histogram of n and |phi|^2, one line a chain."""

from pathlib import Path

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fluxeq.data.ensembles import Series
from fluxeq.errors import InputError
from fluxeq.report.figures.canvas import STYLE, save

MOST_POINTS = 500  # of a history; longer ones are thinned
MOST_BINS = 60
LONGEST_LAG = 50


def save_diagnostics(series: Series, path: Path) -> None:
    """Draw the series of an ensemble. Raises InputError for a picture of another kind, or a chain too short for one."""
    if path.suffix not in (".png", ".pdf"):
        raise InputError(f"plot {str(path)!r}: a picture is a .png or a .pdf")
    if min(map(len, series.n)) < 8:
        raise InputError("fewer than 8 configurations a chain: too few to draw; sample more")
    with matplotlib.style.context(STYLE):
        figure = Figure(figsize=(9, 5), layout="constrained")
        rows = figure.subplots(2, 3)
        for axes, chains, name in zip(rows, (series.n, series.phi2), ("$n$", r"$|\phi|^2$"), strict=True):
            _history(axes[0], chains, name)
            _autocorrelation(axes[1], chains, name)
            _histogram(axes[2], chains, name)
    save(figure, path)


def _history(axes: Axes, chains: list[np.ndarray], name: str) -> None:
    step = max(1, len(chains[0]) // MOST_POINTS)
    for chain in chains:
        axes.plot(np.arange(0, len(chain), step), chain[::step], linewidth=0.6, alpha=0.7)
    axes.set(xlabel="configuration of a chain", ylabel=name, title="history")


def _autocorrelation(axes: Axes, chains: list[np.ndarray], name: str) -> None:
    """rho(t) averaged over the chains, around the mean of all of them; the band is what is zero within errors."""
    mean, longest = np.concatenate(chains).mean(), min(LONGEST_LAG, min(map(len, chains)) // 2)
    pairs = [[(a[: len(a) - t] - mean) * (a[t:] - mean) for a in chains] for t in range(longest)]
    covariance = np.array([np.concatenate(products).mean() for products in pairs])
    noise = 1 / np.sqrt(sum(map(len, chains)))
    axes.axhspan(-2 * noise, 2 * noise, color="0.85")
    if covariance[0] > 0:
        axes.plot(covariance / covariance[0], marker=".")
    axes.set(xlabel="distance in configurations", ylabel=rf"$\rho$ of {name}", title="autocorrelation")


def _histogram(axes: Axes, chains: list[np.ndarray], name: str) -> None:
    everything = np.concatenate(chains)
    values = np.unique(everything)
    if 1 < len(values) <= MOST_BINS:  # n is quantised: one bin a value
        middles = (values[1:] + values[:-1]) / 2
        bins = np.concatenate([[2 * values[0] - middles[0]], middles, [2 * values[-1] - middles[-1]]])
    else:
        bins = np.histogram_bin_edges(everything, MOST_BINS)
    for chain in chains:
        axes.hist(chain, list(bins), histtype="step", density=True, linewidth=0.8)
    axes.set(xlabel=name, ylabel="density of probability", title="histogram")
