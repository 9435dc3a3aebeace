"""Commands that sample ensembles, measure them and insert open worms."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from fluxeq.cli.app import ENSEMBLES, PHI4, Device, NewEnsemble, Observables, TheoryOptions, app
from fluxeq.cli.arguments import parsed_integers, parsed_shape, parsed_theories
from fluxeq.errors import GoalMissedError, InputError
from fluxeq.system.capacity import n_processors
from fluxeq.system.progress import progress

if TYPE_CHECKING:
    from fluxeq.data.generation import Settings
    from fluxeq.data.goal import Goal


@app.command(group=ENSEMBLES, sort_key=0)
def sample(
    *,
    shape: str,
    theory: TheoryOptions = PHI4,
    configurations: int,
    output: Path,
    chains: int = 4,
    seed: int = 0,
    threads: int | None = None,
    device: Device = "cpu",
    until: str | None = None,
    start: Path | None = None,
) -> None:
    """Sample an ensemble of closed-worm configurations; running the command again resumes an incomplete one.

    One coupling may be a range, as in --mu 0.91:1.05:0.005: this makes one ensemble per value, each with its own random
    streams and started from the last configurations of its neighbour, and prints a table of measurements.

    Example: fluxeq sample --shape 60x4 --eta 4.01 --lam 1 --mu 1.05 --configurations 1000 --output e.h5

    Parameters
    ----------
    shape:
        Extents of the periodic lattice, time first, as in 60x4.
    configurations:
        Number to store, all chains together (with --until the maximum); a larger number extends an existing file.
    output:
        The HDF5 file to write; for a range, the folder of files such as mu0.91.h5.
    chains:
        Number of independent chains, each with its own random stream.
    seed:
        The same seed gives the same file, on any number of threads.
    threads:
        Chains that run at the same time; by default the number of processors.
    device:
        cuda: use a GPU, which pays off for thousands of chains; results are identical.
    until:
        Stop when the error of an observable is small enough, as in n=0.001 or phi2=1e-4.
    start:
        Ensemble on the same lattice at a nearby mu; chains start from its last configurations.
    """
    from fluxeq.data.ensembles import STORED
    from fluxeq.data.generation import Settings
    from fluxeq.data.goal import parse_goals
    from fluxeq.data.measurement import as_table, as_text, measured
    from fluxeq.system.files import derived_seed

    theories, goals = parsed_theories(theory), parse_goals(until)
    extents, n_threads = parsed_shape(shape), n_processors() if threads is None else threads
    found, shortfall = [], []
    for name, one in theories.items():
        path = output / f"{name}.h5" if name else output
        settings = Settings(one, extents, configurations, chains, derived_seed(seed, name) if name else seed)
        made = _sampled(name, path, settings, goals, start, device, n_threads)
        [result] = measured([path], [*STORED, *(goal.observable for goal in goals)])
        found.append(result)
        lines = [goal.shortfall(result.series[goal.observable], extents) for goal in goals]
        shortfall += [f"{path}: {line}" if name else line for line in lines if line]
        says = "kept" if any(lines) else "complete" if made else "already complete"
        print(f"{path}: {says}, {result.n_configurations} configurations")
        start = path
    if "" not in theories:
        print(as_table(found))
    elif goals:
        print(as_text(found[0]))
    if shortfall:
        raise GoalMissedError(shortfall[0])


def _sampled(
    name: str, output: Path, settings: "Settings", goals: "list[Goal]", start: Path | None, device: Device, threads: int
) -> bool:
    """Sample one file, optionally starting from the last configurations of another; False if it was complete."""
    from fluxeq.data.checkpoints import sample_to_file
    from fluxeq.data.ensembles import open_ensemble

    source = open_ensemble(start, 1) if start else None
    settings = settings._replace(start_origin=source.origin if source else "")
    with progress(f"sampling {name}".strip()) as advance:
        return sample_to_file(
            output, settings, goals=goals, start=source, device=device, threads=threads, progress=advance
        )


@app.command(group=ENSEMBLES, sort_key=1)
def measure(
    ensembles: Annotated[list[Path], Parameter(name="ENSEMBLE")],
    /,
    *,
    observable: Observables = (),
    json_: Annotated[bool, Parameter(name="--json")] = False,
    csv: bool = False,
    plot: Path | None = None,
) -> None:
    """Measure n and |phi|^2 of ensembles: value, error, tau_int in stored configurations, R-hat over the chains.

    Chains of the same theory and lattice are combined, also from several files; several theories or lattices give a
    table with one line each.

    Example: fluxeq measure e.h5

    Parameters
    ----------
    ensembles:
        Ensemble files.
    json_:
        Print JSON: an object for one theory and lattice, a list for several.
    csv:
        Print CSV: couplings, lattice, seeds, spacing, and all estimates with errors.
    plot:
        Image to draw (png or pdf) for one theory and lattice: time series, autocorrelation and histogram of each
        observable.
    """
    if json_ and csv:
        raise InputError("--json and --csv: choose one of them")
    with progress("measuring"):
        from fluxeq.data.ensembles import STORED
        from fluxeq.data.measurement import as_csv, as_json, as_table, as_text, measured
        from fluxeq.system.files import require_writable

        if plot is not None:
            require_writable(plot)
        found = measured(ensembles, [*STORED, *observable])
        if plot is not None:
            from fluxeq.report.figures.diagnostics import save_diagnostics

            if len(found) > 1:
                raise InputError(f"--plot: {found[0].title} and {found[1].title}: draw one at a time")
            save_diagnostics(found[0].series, plot, found[0].title)
        if csv:
            text = as_csv(found).rstrip()
        elif json_:
            listed = list(map(as_json, found))
            text = json.dumps(listed if len(found) > 1 else listed[0], indent=2)
        else:
            text = as_table(found) if len(found) > 1 else as_text(found[0])
    print(text)


@app.command(group=ENSEMBLES, sort_key=2)
def worms(ensemble: Path, /, *, number: str, output: NewEnsemble, seed: int = 0) -> None:
    """Insert open worms into an ensemble; every configuration is used once, with one of the given numbers of worms.

    Example: fluxeq worms e.h5 --number 0,5 --output w.h5

    Parameters
    ----------
    ensemble:
        An ensemble of closed-worm configurations.
    number:
        Numbers of worms, in equal shares, as in 0,5.
    seed:
        The same seed gives the same file.
    """
    with progress("opening worms"):
        from fluxeq.data.ensembles import open_ensemble, save_ensemble
        from fluxeq.data.generation import open_worms
        from fluxeq.system.files import new_file

        numbers = parsed_integers("number", number)
        with new_file(output):
            opened = open_worms(open_ensemble(ensemble), numbers, seed=seed)
            save_ensemble(output, opened)
    print(f"{output}: {len(opened)} configurations with {number} open worms")
