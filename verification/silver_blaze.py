"""Silver blaze: at zero temperature nothing depends on mu below the mass of the lightest particle, where n sets in.

In two dimensions, on a long lattice, |phi|^2 below the onset equals that at mu = 0. In four dimensions, at eta = 9 and
lam = 1, the published onset is near mu = 1.15 (C. Gattringer and T. Kloiber, Nucl. Phys. B 869 (2013) 56; G. Aarts,
Phys. Rev. Lett. 102 (2009) 131601). On L^4 the temperature is 1 / L, so the density below the onset is small, but not
zero.
The curves n(mu) are written to ``silver_blaze.csv`` in the folder of the verdicts, and drawn in ``silver_blaze.png``.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fluxeq.report.figures.canvas import STYLE, WIDTH, save
from fluxeq.system.files import atomic_write
from fluxeq.theory import Theory
from verification.sampled import chain_means
from verification.verdicts import Verdict, number

LONG, LONG_CONFIGURATIONS = (120, 6), 400  # per chain
BELOW, ABOVE = (0.3, 0.6), 1.05  # mu in two dimensions, where the mass at eta = 4.01 and lam = 1 is about 0.94
ETA, LAM = 9.0, 1.0
MU = (1.0, 1.05, 1.1, 1.125, 1.15, 1.175, 1.2, 1.25, 1.3)
LATTICES = {4: 200, 6: 60, 8: 20}  # extent in every direction: configurations per chain
PUBLISHED, READ_TO = 1.15, 0.02  # the onset, and how accurately it can be read off the published figures
LINE = (1.2, 1.25)  # the straight line through n at these mu reaches n = 0 at the onset


def check(seed: int, device: str, folder: Path) -> Iterator[Verdict]:
    """|phi|^2 below the onset in two dimensions, with a control above it; the onset in four on each lattice."""
    vacuum = chain_means(Theory(4.01, 1.0, 0.0), LONG, LONG_CONFIGURATIONS, seed, device)["phi2"]
    expected, error = float(vacuum.mean()), float(vacuum.std(ddof=1) / math.sqrt(len(vacuum)))
    for i, mu in enumerate((*BELOW, ABOVE), start=1):
        means = chain_means(Theory(4.01, 1.0, mu), LONG, LONG_CONFIGURATIONS, seed + i, device)["phi2"]
        what = f"{'control: ' if mu == ABOVE else ''}phi2 120x6 eta 4.01 lam 1 mu {mu:g}, against mu = 0"
        yield number("silver blaze", what, means, expected, error, is_control=mu == ABOVE)
    rows = []
    for extent, n_configurations in LATTICES.items():
        density = {
            mu: chain_means(Theory(ETA, LAM, mu), (extent,) * 4, n_configurations, seed + extent + i, device)["n"]
            for i, mu in enumerate(MU)
        }
        onset = onsets(*(density[mu] for mu in LINE))
        yield number("silver blaze", f"onset {extent}^4 eta 9 lam 1", onset, PUBLISHED, READ_TO)
        for mu, n in density.items():
            rows.append({"extent": extent, "mu": mu, "n": n.mean(), "error": n.std(ddof=1) / math.sqrt(len(n))})
    table = pd.DataFrame(rows)
    with atomic_write(folder / "silver_blaze.csv") as path:
        table.to_csv(path, index=False, float_format="%.6g")
    save(drawn(table), folder / "silver_blaze.png")


def onsets(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Where the straight line through two densities of each chain reaches n = 0; ``(chain,)``."""
    return LINE[0] - first * (LINE[1] - LINE[0]) / (second - first)


def drawn(table: pd.DataFrame) -> Figure:
    """n against mu on each lattice."""
    with matplotlib.style.context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
        axes = figure.subplots()
        for (extent, rows), marker in zip(table.groupby("extent"), "os^", strict=True):
            axes.errorbar(rows.mu, rows.n, rows.error, marker=marker, linewidth=0.8, label=f"${extent}^4$")
        axes.axvline(PUBLISHED, color="0.6", linestyle=":", linewidth=1, label="published onset")
        axes.set(xlabel=r"chemical potential $\mu$", ylabel="particle density $n$")
        axes.set_title(r"four dimensions, $\eta = 9$, $\lambda = 1$", loc="left")
        axes.legend()
    return figure
