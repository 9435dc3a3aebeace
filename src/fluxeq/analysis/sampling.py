"""How the sampling of a run went: a row for each ensemble of closed configurations, from its file."""

from pathlib import Path
from typing import Any

import pandas as pd

from fluxeq.analysis.tables import WAY_OUT, n_sites
from fluxeq.data.ensembles import open_ensemble
from fluxeq.errors import InputError
from fluxeq.study.values import named


def sampling(run: Path) -> pd.DataFrame:
    """Autocorrelation, agreement of chains and accepted moves, sorted by lattice and couplings.

    Raises InputError if no ensemble is there.
    """
    rows = [row for path in sorted((run / "ensembles").glob("*.h5")) if (row := _row(path))]
    if not rows:
        raise InputError(f"{run / 'ensembles'}: no ensembles of closed configurations; {WAY_OUT}")
    table = pd.DataFrame(rows)
    couplings = [name for name in table.columns[2 : list(table).index("configurations")] if name != "shape"]
    order = table.assign(size=table["shape"].map(n_sites)).sort_values(["size", "shape", *couplings], kind="stable")
    return table.loc[order.index].reset_index(drop=True)


def _row(path: Path) -> dict[str, Any] | None:
    """What is known of one ensemble; nothing of one with open worms."""
    ensemble = open_ensemble(path)
    if ensemble.state is None:
        return None
    found, tuning = ensemble.measure("n")["n"], ensemble.tuning
    return {
        **{"ensemble": path.stem, "shape": named(ensemble.shape), **ensemble.theory.couplings},
        **{"configurations": len(ensemble), "chains": ensemble.n_chains},
        **{"thermalisation": tuning.thermalisation, "spacing": tuning.spacing},
        **{"n": found.value, "error": found.error, "tau_int": found.tau_int, "r_hat": found.r_hat},
        **{"status": found.status, **ensemble.state.acceptance, "worm_length": ensemble.state.worm_length},
    }
