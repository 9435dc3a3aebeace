"""The commands that exchange configurations with other programs."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from fluxeq.cli.app import ENSEMBLES, PHI4, TheoryOptions, app
from fluxeq.cli.arguments import parsed_theories
from fluxeq.errors import InputError
from fluxeq.system.progress import progress


@app.command(name="import", group=ENSEMBLES, sort_key=3)
def import_(
    file: Path,
    /,
    *,
    output: Path,
    theory: TheoryOptions = PHI4,
    key: str | None = None,
    chains: int = 1,
    time_last: bool = False,
    worms: bool = False,
) -> None:
    """Make an ensemble of configurations of another program: their convention is found out, and they are checked.

    An array (n, 2 d, *shape) or (n, *shape, 2 d) of whole numbers is needed, or two arrays k and l. Arrays n, phi2 and
    n_worms beside it are labels, which are checked.

    Example: fluxeq import theirs.npz --eta 4.01 --lam 1 --mu 1.05 --output e.h5

    Parameters
    ----------
    file:
        An npz, npy or HDF5 file.
    output:
        The HDF5 file to make.
    key:
        Name of the array; configurations, unless given, or k and l.
    chains:
        How many chains of equal length follow each other, unless there is an array chain.
    time_last:
        Time is the last axis of the lattice, not the first.
    worms:
        Configurations have open worms.
    """
    with progress("importing"):
        from fluxeq.data.ensembles import save_ensemble
        from fluxeq.data.imports import imported
        from fluxeq.system.files import made_once

        theories = parsed_theories(theory)
        if "" not in theories:
            raise InputError("couplings: configurations are of one theory; leave the range out")
        with made_once(output):
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
    observable: Annotated[tuple[str, ...], Parameter(show_default=False)] = (),
) -> None:
    """Write an ensemble for other programs: all arrays as npz, or the observables of each configuration as CSV.

    Example: fluxeq export e.h5 --output e.npz

    Parameters
    ----------
    ensemble:
        An ensemble file.
    output:
        The file to make, .npz or .csv.
    observable:
        One more observable, by its name or as package.module:function; may be given several times.
    """
    with progress("exporting"):
        from fluxeq.data.ensembles import STORED
        from fluxeq.data.exports import export as write

        n = write(ensemble, output, list(dict.fromkeys([*STORED, *observable])))
    print(f"{output}: {n} configurations")
