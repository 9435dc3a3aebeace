"""Sampling diagnostics: autocorrelation, agreement of chains, and acceptance rates for every ensemble of a run.

tau_int of n in stored configurations, 1/2 for independent ones; R-hat of n over the halves of all chains; the
acceptance rate of each kind of move. A constant series has neither tau_int nor R-hat.
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Picture
from matplotlib.ticker import MaxNLocator

from fluxeq.analysis.sampling import sampling
from fluxeq.report.figures.figure import Figure

PANELS = {"tau_int": r"$\tau_\mathrm{int}$ of $n$" + "\n(configurations)", "r_hat": r"$\hat R$ of $n$"}
WANTED = {"tau_int": 0.5, "r_hat": 1.0}
"""Values for independent configurations from chains that agree."""
MOVES = {"enter": "o", "leave": "s", "remove": "^", "add": "v"}


def draw(numbers: pd.DataFrame) -> Picture:
    """Draw three panels; ensembles are ordered by lattice and couplings."""
    figure = Picture(figsize=(7.4, 6.2), layout="constrained")
    *measured, moves = figure.subplots(3, 1, sharex=True)
    at = np.arange(1, len(numbers) + 1)
    for axes, (name, label) in zip(measured, PANELS.items(), strict=True):
        axes.plot(at, numbers[name], "o", color="black", markersize=3)
        axes.axhline(WANTED[name], color="0.4", linestyle="--", linewidth=0.8)
        axes.set_ylabel(label)
    for name, marker in MOVES.items():
        moves.plot(at, numbers[name], marker, markersize=3, label=name)
    moves.set(ylabel="accepted moves", ylim=(0, 1), xlabel="ensemble")
    moves.xaxis.set_major_locator(MaxNLocator(integer=True))
    moves.legend(ncols=len(MOVES), loc="lower left", bbox_to_anchor=(0, 1))
    if numbers.empty:
        moves.text(0.5, 0.5, "no ensembles are left", transform=moves.transAxes, ha="center")
    edges = np.flatnonzero(numbers["shape"] != numbers["shape"].shift())
    for axes in (*measured, moves):
        for edge in edges[1:]:
            axes.axvline(edge + 0.5, color="0.8", linewidth=0.6, zorder=0)
    for i, edge in enumerate(edges):
        text = numbers["shape"].iloc[edge].replace("x", "\N{MULTIPLICATION SIGN}")
        place = measured[0].get_xaxis_transform()
        measured[0].text(edge + 0.7, 1.01 + 0.09 * (i % 2), text, transform=place, fontsize="x-small")
    return figure


def alt_text(numbers: pd.DataFrame) -> str:
    """The largest tau_int and R-hat, and the range of acceptance rates, in words."""
    if numbers.empty:
        return "No ensembles are left."
    shares = numbers[list(MOVES)]
    return (
        f"{len(numbers)} ensembles: tau_int of n is {numbers['tau_int'].max():.2g} configurations at most, R-hat "
        f"{numbers['r_hat'].max():.4g} at most; of the moves of a kind {shares.min(axis=None):.0%} to "
        f"{shares.max(axis=None):.0%} were accepted."
    )


FIGURE = Figure(
    "sampling",
    "The sampler. Every ensemble of closed configurations, sorted by lattice and couplings: integrated autocorrelation "
    "time of n (dashed: independent configurations), R-hat of n (dashed: chains agree), and accepted moves of the "
    "worm.",
    "",
    lambda study: True,
    sampling,
    draw,
    alt_text,
)
