"""The commands that sample ensembles, measure them and open worms in them."""

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from fluxeq.cli.app import Device, app
from fluxeq.cli.arguments import parsed_integers, parsed_shape, parsed_theory
from fluxeq.errors import GoalMissedError, InputError
from fluxeq.system.capacity import n_processors
from fluxeq.system.progress import progress


@app.command
def sample(
    *,
    shape: str,
    eta: float | None = None,
    lam: float | None = None,
    mu: float | None = None,
    theory: str | None = None,
    couplings: str | None = None,
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
        2 d + m^2 of the theory phi4, in lattice units.
    lam:
        Quartic coupling of phi4; 0 is the free field.
    mu:
        Chemical potential of phi4.
    theory:
        phi4, unless given: a theory by its name, or as package.module:Class.
    couplings:
        All couplings of the theory, as in beta=0.8,mu=0.1; for phi4 in place of --eta, --lam and --mu.
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
    from fluxeq.data.checkpoints import sample_to_file
    from fluxeq.data.ensembles import STORED, open_ensemble, read_series
    from fluxeq.data.generation import Settings
    from fluxeq.data.goal import goals_of
    from fluxeq.data.measurement import as_text, measured

    the_theory, goals = parsed_theory(theory, couplings, {"eta": eta, "lam": lam, "mu": mu}), goals_of(until)
    source = open_ensemble(start, 1) if start else None
    origin = source.origin if source else ""
    settings = Settings(the_theory, parsed_shape(shape), configurations, chains, seed, origin)
    with progress("sampling") as advance:
        made = sample_to_file(
            output,
            settings,
            goals=goals,
            start=source,
            device=device,
            threads=n_processors() if threads is None else threads,
            progress=advance,
        )
        series = read_series(output, list(dict.fromkeys([*STORED, *(goal.observable for goal in goals)])))
    found = measured(output, series)
    missed = [line for goal in goals if (line := goal.missed(series.observables[goal.observable], settings.shape))]
    says = "kept" if missed else "complete" if made else "was complete already"
    print(f"{output}: {says}, {found.n_configurations} configurations")
    if goals:
        print(as_text(found))
    if missed:
        raise GoalMissedError(missed[0])


@app.command
def measure(
    ensemble: Path,
    /,
    *,
    observable: Annotated[tuple[str, ...], Parameter(show_default=False)] = (),
    json_: Annotated[bool, Parameter(name="--json")] = False,
    plot: Path | None = None,
) -> None:
    """Measure n and |phi|^2 of an ensemble: value, error, tau_int in stored configurations, R-hat over the chains.

    Parameters
    ----------
    ensemble:
        An ensemble file.
    observable:
        One more observable, by its name or as package.module:function; may be given several times.
    json_:
        Print JSON.
    plot:
        A picture to draw (png or pdf): history, autocorrelation and histogram of each observable.
    """
    with progress("measuring"):
        from fluxeq.data.ensembles import STORED, read_series
        from fluxeq.data.measurement import as_json, as_text, measured
        from fluxeq.system.files import require_writable

        if plot is not None:
            require_writable(plot)
        series = read_series(ensemble, list(dict.fromkeys([*STORED, *observable])))
        found = measured(ensemble, series)
        if plot is not None:
            from fluxeq.report.figures.diagnostics import save_diagnostics

            save_diagnostics(series.observables, plot)
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
        from fluxeq.data.generation import open_worms
        from fluxeq.system.files import claimed, remove_unfinished_of, require_writable

        numbers = parsed_integers("number", number)
        require_writable(output)
        with claimed(output.with_name(f".{output.name}.lock"), f"is making {output.name}"):
            if output.exists():
                raise InputError(f"{output}: exists; remove it or choose another output")
            remove_unfinished_of(output)
            opened = open_worms(open_ensemble(ensemble), numbers, seed=seed)
            save_ensemble(output, opened)
    print(f"{output}: {len(opened)} configurations with {number} open worms")
