"""How the sampling of a run went: a row for each ensemble of closed configurations, from its file."""

from pathlib import Path
from typing import Any

import pandas as pd

from fluxeq.analysis.tables import n_sites
from fluxeq.data.ensembles import read_series
from fluxeq.lattice import named
from fluxeq.statistics import estimate

COLUMNS = (
    *("ensemble", "shape", "configurations", "chains", "thermalisation", "spacing"),
    *("n", "error", "tau_int", "r_hat", "status", "enter", "leave", "remove", "add", "worm_length"),
)
"""Beside the couplings, which follow on the shape."""


def sampling(run: Path) -> pd.DataFrame:
    """Autocorrelation, agreement of chains and accepted moves, sorted by lattice and couplings.

    Of the ensembles that are there. A finished run may have lost them; then it is as it was when the figure was drawn.
    """
    rows = [row for path in sorted((run / "ensembles").glob("*.h5")) if (row := _row(path))]
    drawn = run / "figures" / "sampling.csv"
    if not rows:
        return pd.read_csv(drawn) if drawn.exists() else pd.DataFrame(columns=COLUMNS)
    table = pd.DataFrame(rows)
    couplings = table.columns[2 : list(table).index("configurations")]
    order = table.assign(size=table["shape"].map(n_sites)).sort_values(["size", "shape", *couplings], kind="stable")
    return table.loc[order.index].reset_index(drop=True)


def _row(path: Path) -> dict[str, Any] | None:
    """What is known of one ensemble; nothing of one with open worms."""
    observables, head = read_series(path, ["n"])
    if head.state is None:
        return None
    n, tuning = observables["n"], head.tuning
    found = estimate(n)
    return {
        **{"ensemble": path.stem, "shape": named(head.shape), **head.theory.couplings},
        **{"configurations": sum(map(len, n)), "chains": head.n_chains},
        **{"thermalisation": tuning.thermalisation, "spacing": tuning.spacing},
        **{"n": found.value, "error": found.error, "tau_int": found.tau_int, "r_hat": found.r_hat},
        **{"status": found.status, **head.state.acceptance, "worm_length": head.state.worm_length},
    }
