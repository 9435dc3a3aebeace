"""Plots of a periodic lattice: sites at integer points, space to the right, time upwards."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

VIOLATIONS = {1: ("#D55E00", "+"), -1: ("#0072B2", "\N{MINUS SIGN}")}
"""Colours and signs of positive and negative divergence."""
BOLD: dict[str, Any] = {"fontweight": "bold", "zorder": 6}
RING: dict[str, Any] = {"markersize": 12, "color": "none", "markeredgewidth": 2, "zorder": 5, "clip_on": False}


def frame(axes: Axes, sites: pd.DataFrame, margin: float) -> None:
    """Fit a panel to the sites of a table with ``t`` and ``x``, plus a margin."""
    limits = {
        f"{axis}lim": (sites[nu].min() - margin, sites[nu].max() + margin) for axis, nu in (("x", "x"), ("y", "t"))
    }
    axes.set(aspect="equal", xlabel=r"space $x$", ylabel=r"time $t$", **limits)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.grid(False)


def mark_violations(axes: Axes, sites: pd.DataFrame, *, rings: bool = False) -> None:
    """Mark the sites with a divergence other than zero, in a table with ``t``, ``x`` and ``divergence``.

    Rings do not cover what is drawn below, and have their numbers beside them.
    """
    violated = sites[sites["divergence"] != 0]
    for t, x, divergence in violated[["t", "x", "divergence"]].itertuples(index=False):
        colour, sign = VIOLATIONS[int(np.sign(divergence))]
        text = f"{sign}{abs(divergence)}"
        if rings:
            axes.plot(x, t, "o", markeredgecolor=colour, **RING)
            outline = [withStroke(linewidth=2, foreground="white")]
            axes.annotate(text, (x, t), (8, 5), textcoords="offset points", color=colour, path_effects=outline, **BOLD)
        else:
            axes.plot(x, t, "o", markersize=19, color=colour, zorder=5)
            axes.text(x, t, text, color="white", ha="center", va="center_baseline", **BOLD)
