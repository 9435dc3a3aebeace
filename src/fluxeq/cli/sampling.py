"""The commands that sample ensembles, measure them and open worms in them."""

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from fluxeq.cli.app import Device, app
from fluxeq.cli.arguments import parsed_goal, parsed_integers, parsed_shape
from fluxeq.cli.progress import progress
from fluxeq.errors import GoalMissedError, InputError
from fluxeq.system.capacity import n_processors


@app.command
def sample(
    *,
    shape: str,
    eta: float,
    lam: float,
    mu: float,
    configurations: int,
    output: Path,
    chains: int = 4,
    seed: int = 0,
    threads: int | None = None,
    device: Device = "cpu",
    until: str | None = None,
    start: Path | None = None,
) -> None:
    """Sample an ensemble of closed configurations; the same command again resumes, or says that it is complete.

    Parameters
    ----------
    shape:
        Extents of the periodic lattice, time first, as in 60x4.
    eta:
        2 d + m^2, in lattice units.
    lam:
        Quartic coupling; 0 is the free field.
    mu:
        Chemical potential.
    configurations:
        How many to store, over all chains together, or at most with --until; more than a file holds extends it.
    output:
        The HDF5 file to make.
    chains:
        Independent chains, each with its own random stream.
    seed:
        The same seed gives the same file, on any number of threads.
    threads:
        Chains that run at the same time; as many as there are processors, unless given.
    device:
        cuda is a GPU, which needs thousands of chains to be worth it; the chains are the same.
    until:
        Stop when the error of an observable is small enough, as in n=0.001 or phi2=1e-4.
    start:
        An ensemble of the same lattice at a neighbouring mu, with whose last configurations the chains start.
    """
    from fluxeq.data.ensembles import open_ensemble, read_series
    from fluxeq.data.generation import Settings, sample_to_file
    from fluxeq.data.measurement import as_text, measured
    from fluxeq.theory import Theory

    goal = None if until is None else parsed_goal(until)
    warm = open_ensemble(start, 1) if start else None
    origin = warm.origin if warm else ""
    settings = Settings(Theory(eta, lam, mu), parsed_shape(shape), configurations, chains, seed, origin)
    with progress("sampling") as advance:
        made = sample_to_file(
            output,
            settings,
            goal=goal,
            start=warm,
            device=device,
            threads=n_processors() if threads is None else threads,
            progress=advance,
        )
    found = measured(output)
    missed = goal.missed(getattr(read_series(output), goal.observable), settings.shape) if goal else ""
    says = "kept" if missed else "complete" if made else "was complete already"
    print(f"{output}: {says}, {found.n_configurations} configurations")
    if goal:
        print(as_text(found))
    if missed:
        raise GoalMissedError(missed)


@app.command
def measure(
    ensemble: Path,
    /,
    *,
    json_: Annotated[bool, Parameter(name="--json")] = False,
    plot: Path | None = None,
) -> None:
    """Measure n and |phi|^2 of an ensemble: value, error, tau_int in stored configurations, R-hat over the chains.

    Parameters
    ----------
    ensemble:
        An ensemble file.
    json_:
        Print JSON.
    plot:
        A picture to draw (png or pdf): history, autocorrelation and histogram of n and |phi|^2.
    """
    with progress("measuring"):
        from fluxeq.data.ensembles import read_series
        from fluxeq.data.measurement import as_json, as_text, measured
        from fluxeq.system.files import require_writable

        if plot is not None:
            require_writable(plot)
        found = measured(ensemble)
        if plot is not None:
            from fluxeq.report.figures.diagnostics import save_diagnostics

            save_diagnostics(read_series(ensemble), plot)
    print(json.dumps(as_json(found), indent=2) if json_ else as_text(found))


@app.command
def worms(ensemble: Path, /, *, number: str, output: Path, seed: int = 0) -> None:
    """Open worms in an ensemble: every configuration is used once, with one of the numbers of worms.

    Parameters
    ----------
    ensemble:
        An ensemble of closed configurations.
    number:
        Numbers of worms, dealt out in equal shares, as in 0,5.
    output:
        The HDF5 file to make.
    seed:
        The same seed gives the same file.
    """
    with progress("opening worms"):
        from fluxeq.data.ensembles import open_ensemble, save_ensemble
        from fluxeq.data.generation import sole_maker, with_worms
        from fluxeq.system.files import require_writable

        numbers = parsed_integers("number", number)
        require_writable(output)
        with sole_maker(output):
            if output.exists():
                raise InputError(f"{output}: exists; remove it or choose another output")
            opened = with_worms(open_ensemble(ensemble), numbers, seed)
            save_ensemble(output, opened)
    print(f"{output}: {len(opened)} configurations with {number} open worms")
