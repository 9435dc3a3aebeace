"""Monte Carlo diagnostics: time series, autocorrelation and histogram of observables, one line per chain."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fluxeq.errors import InputError
from fluxeq.report.figures.canvas import STYLE, save

MOST_POINTS = 500  # of a time series; longer ones are thinned
MOST_BINS = 60
LONGEST_LAG = 50


SYMBOLS = {"n": "$n$", "phi2": r"$|\phi|^2$"}


def save_diagnostics(series: Mapping[str, list[np.ndarray]], path: Path, title: str = "") -> None:
    """Plot observables, one series per chain, with a title.

    Raises InputError for an unsupported image format, or chains that are too short.
    """
    if path.suffix not in (".png", ".pdf"):
        raise InputError(f"plot {str(path)!r}: must end in .png or .pdf")
    if min(len(chain) for chains in series.values() for chain in chains) < 8:
        raise InputError("fewer than 8 configurations per chain: too few to draw; sample more")
    with matplotlib.style.context(STYLE):
        figure = Figure(figsize=(9, 2.5 * len(series)), layout="constrained")
        for axes, (name, chains) in zip(figure.subplots(len(series), 3, squeeze=False), series.items(), strict=True):
            symbol = SYMBOLS.get(name, name)
            _history(axes[0], chains, symbol)
            _autocorrelation(axes[1], chains, symbol)
            _histogram(axes[2], chains, symbol)
        figure.suptitle(title)
    save(figure, path)


def _history(axes: Axes, chains: list[np.ndarray], name: str) -> None:
    step = max(1, len(chains[0]) // MOST_POINTS)
    for chain in chains:
        axes.plot(np.arange(0, len(chain), step), chain[::step], linewidth=0.6, alpha=0.7)
    axes.set(xlabel="configuration of a chain", ylabel=name, title="time series")


def _autocorrelation(axes: Axes, chains: list[np.ndarray], name: str) -> None:
    """rho(t) averaged over chains, with the mean of all chains subtracted; the band is compatible with zero."""
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
    if 1 < len(values) <= MOST_BINS:  # n is quantised: one bin per value
        middles = (values[1:] + values[:-1]) / 2
        bins = np.concatenate([[2 * values[0] - middles[0]], middles, [2 * values[-1] - middles[-1]]])
    else:
        bins = np.histogram_bin_edges(everything, MOST_BINS)
    for chain in chains:
        axes.hist(chain, list(bins), histtype="step", density=True, linewidth=0.8)
    axes.set(xlabel=name, ylabel="probability density", title="histogram")
