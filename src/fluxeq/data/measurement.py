"""Measured means of an ensemble file, as people and programs read them."""

import math
from pathlib import Path
from typing import Any, NamedTuple

from fluxeq.data.ensembles import Series
from fluxeq.errors import InputError
from fluxeq.sampling.chains import Chains
from fluxeq.statistics import SHORTEST, Estimate, estimate

SYMBOLS = {"phi2": "|phi|^2"}
"""What some observables are called in print."""


class Measured(NamedTuple):
    """Observables of an ensemble, and how much of it there is."""

    estimates: dict[str, Estimate]
    n_configurations: int
    n_chains: int
    state: Chains | None
    """Of the chains, whose tally says how their moves went; none for open worms."""


def measured(path: Path, series: Series) -> Measured:
    """Means over the ensemble of a file with errors from the Gamma method; tau_int in stored configurations.

    Raises InputError if there is nothing to measure.
    """
    chains = next(iter(series.observables.values()))
    if not chains:
        raise InputError(f"{path}: holds no configurations; sample it again")
    estimates = {name: estimate(values) for name, values in series.observables.items()}
    return Measured(estimates, sum(map(len, chains)), len(chains), series.state)


def missing(result: Estimate, n_configurations: int) -> int | None:
    """Configurations that are still to be made until an error can be trusted; None if nobody can tell yet."""
    if result.tau_int is None:
        return None
    return max(0, math.ceil(SHORTEST * result.tau_int) - n_configurations)


def as_json(found: Measured) -> dict[str, Any]:
    """The result in JSON's types; what is unknown is null, and ``status`` says why."""
    values = {
        name: {
            "value": result.value,
            "error": result.error,
            "tau_int": result.tau_int,
            "r_hat": result.r_hat,
            "status": result.status,
            "missing": missing(result, found.n_configurations),
        }
        for name, result in found.estimates.items()
    }
    moves = None
    if found.state is not None:
        moves = {"acceptance": found.state.acceptance, "worm_length": found.state.worm_length}
    return {**values, "configurations": found.n_configurations, "chains": found.n_chains, "moves": moves}


def as_text(found: Measured) -> str:
    """The result as a few lines."""
    named = {SYMBOLS.get(name, name): result for name, result in found.estimates.items()}
    width = max(8, *map(len, named))
    lines = [_line(f"{name:{width}}", result, found.n_configurations) for name, result in named.items()]
    lines.append(f"{found.n_configurations} configurations from {found.n_chains} chains")
    if found.state is not None:
        accepted = ", ".join(f"{name} {fraction:.0%}" for name, fraction in found.state.acceptance.items())
        lines.append(f"accepted moves: {accepted}; {found.state.worm_length:.3g} steps a worm")
    return "\n".join(lines)


def _line(name: str, result: Estimate, n_configurations: int) -> str:
    if result.status == "constant":
        return (
            f"{name} {result.value:.6g}, constant: the same in all {n_configurations} configurations; "
            "if anything fluctuates, it is too rare for them to show it"
        )
    if result.error is None or result.tau_int is None:
        reasons = {
            "frozen": "every chain keeps a value of its own; sample far longer",
            "short": "fewer than 8 configurations a chain",
        }
        return f"{name} {result.value:.6g}, error unknown: {reasons[result.status]}"
    agreement = "" if result.r_hat is None else f", R-hat {result.r_hat:.3f}"
    line = f"{name} {result.value:.6g} +- {result.error:.2g}, tau_int {result.tau_int:.2g}{agreement}"
    if result.status == "short":
        line += (
            f"; too short to trust: all chains together span less than {SHORTEST} tau_int, "
            f"sample at least {missing(result, n_configurations)} more"
        )
    return line
