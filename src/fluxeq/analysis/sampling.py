"""Sampling diagnostics of a run: one row per ensemble of closed configurations, from its file."""

from pathlib import Path
from typing import Any

import pandas as pd

from fluxeq.analysis.tables import n_sites
from fluxeq.data.ensembles import read_series
from fluxeq.lattice import shape_name
from fluxeq.statistics import estimate

COLUMNS = (
    *("ensemble", "shape", "configurations", "chains", "thermalisation", "spacing"),
    *("n", "error", "tau_int", "r_hat", "status", "enter", "leave", "remove", "add", "worm_length"),
)
"""Columns in addition to the couplings, which follow the shape."""


def sampling(run: Path) -> pd.DataFrame:
    """Autocorrelation, agreement of chains and acceptance rates, sorted by lattice and couplings.

    Uses the existing ensembles. If those of a finished run have been deleted, the table of the figure is used.
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
    """Diagnostics of one ensemble; None for one with open worms."""
    observables, head = read_series(path, ["n"])
    if head.state is None:
        return None
    n, tuning = observables["n"], head.tuning
    found = estimate(n)
    return {
        **{"ensemble": path.stem, "shape": shape_name(head.shape), **head.theory.couplings},
        **{"configurations": sum(map(len, n)), "chains": head.n_chains},
        **{"thermalisation": tuning.thermalisation, "spacing": tuning.spacing},
        **{"n": found.value, "error": found.error, "tau_int": found.tau_int, "r_hat": found.r_hat},
        **{"status": found.status, **head.state.acceptance, "worm_length": head.state.worm_length},
    }
