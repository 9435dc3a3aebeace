"""Export of ensembles: NumPy's npz with all arrays, or CSV with the observables, one line per configuration."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fluxeq.data.ensembles import STORED, Ensemble, open_ensemble
from fluxeq.errors import InputError
from fluxeq.system.files import atomic_write, require_writable

FORMATS = (".npz", ".csv")


def export(path: Path, output: Path, names: Sequence[str] = STORED) -> int:
    """Write an ensemble file as npz or CSV with the named observables; returns the number of configurations.

    Raises InputError for another format, and like ``open_ensemble`` and ``Ensemble.observable``.
    """
    if output.suffix not in FORMATS:
        raise InputError(f"output {str(output)!r:.80}: the name must end in {' or '.join(FORMATS)}")
    require_writable(output)
    ensemble = open_ensemble(path)
    columns = {"chain": ensemble.chain, "sweep": ensemble.sweep}
    columns |= {name: ensemble.observable(name) for name in names} | {"n_worms": ensemble.n_worms}
    with atomic_write(output) as temporary:
        (_write_csv if output.suffix == ".csv" else _write_npz)(temporary, ensemble, columns)
    return len(ensemble)


def _write_csv(path: Path, ensemble: Ensemble, columns: dict[str, np.ndarray]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["configuration", *columns])
        writer.writerows(zip(range(len(ensemble)), *(values.tolist() for values in columns.values()), strict=True))


def _write_npz(path: Path, ensemble: Ensemble, columns: dict[str, np.ndarray]) -> None:
    arrays = {"configurations": ensemble.configurations, **columns}
    if ensemble.worms is not None:
        arrays |= {"heads": ensemble.worms.heads, "tails": ensemble.worms.tails}
    theory = ensemble.theory
    np.savez_compressed(path, **arrays, theory=theory.name, **theory.couplings)  # type: ignore[arg-type]
