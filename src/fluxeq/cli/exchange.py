"""Commands that exchange configurations with other programs."""

from pathlib import Path

from fluxeq.cli.app import ENSEMBLES, PHI4, NewEnsemble, Observables, TheoryOptions, app
from fluxeq.cli.arguments import parsed_theories
from fluxeq.errors import InputError
from fluxeq.system.progress import progress


@app.command(name="import", group=ENSEMBLES, sort_key=3)
def import_(
    file: Path,
    /,
    *,
    output: NewEnsemble,
    theory: TheoryOptions = PHI4,
    key: str | None = None,
    chains: int = 1,
    time_last: bool = False,
    worms: bool = False,
) -> None:
    """Import configurations from another program; their convention is detected, and they are checked.

    The input is an integer array (n, 2 d, *shape) or (n, *shape, 2 d), or two arrays k and l. Arrays n, phi2 and
    n_worms in the same file are treated as labels and checked.

    Example: fluxeq import theirs.npz --eta 4.01 --lam 1 --mu 1.05 --output e.h5

    Parameters
    ----------
    file:
        An npz, npy or HDF5 file.
    key:
        Name of the array; by default configurations, or k and l.
    chains:
        Number of consecutive chains of equal length, if the file has no array named chain.
    time_last:
        Time is the last axis of the lattice instead of the first.
    worms:
        Accept configurations with open worms.
    """
    with progress("importing"):
        from fluxeq.data.ensembles import save_ensemble
        from fluxeq.data.imports import imported
        from fluxeq.system.files import new_file

        theories = parsed_theories(theory)
        if "" not in theories:
            raise InputError("couplings: an imported ensemble has one theory; give single values, not a range")
        with new_file(output):
            asked = {"key": key, "time_last": time_last, "n_chains": chains, "with_worms": worms}
            ensemble, lines = imported(file, theories[""], **asked)  # type: ignore[arg-type]
            save_ensemble(output, ensemble)
    print("\n".join([*lines, f"{output}: {ensemble.origin}"]))


@app.command(group=ENSEMBLES, sort_key=4)
def export(
    ensemble: Path,
    /,
    *,
    output: Path,
    observable: Observables = (),
) -> None:
    """Export an ensemble for other programs: all arrays as npz, or the observables of each configuration as CSV.

    Example: fluxeq export e.h5 --output e.npz

    Parameters
    ----------
    ensemble:
        An ensemble file.
    output:
        The file to write, .npz or .csv.
    """
    with progress("exporting"):
        from fluxeq.data.ensembles import STORED
        from fluxeq.data.exports import export as write

        n = write(ensemble, output, list(dict.fromkeys([*STORED, *observable])))
    print(f"{output}: {n} configurations")
