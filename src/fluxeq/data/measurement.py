"""Measurements on ensemble files, and their output as text, JSON and CSV."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fluxeq.data.ensembles import Ensemble, Series, read_series
from fluxeq.errors import InputError
from fluxeq.lattice import shape_name
from fluxeq.sampling.chains import Chains, concatenated
from fluxeq.statistics import SHORTEST, Estimate, estimate
from fluxeq.theory import coupling_text

SYMBOLS = {"phi2": "|phi|^2"}
"""Printed names of observables."""


@dataclass(frozen=True)
class Measurement:
    """Observables of one theory on one lattice, from the chains of one or more files."""

    files: dict[Path, Ensemble]
    """The ensembles without their configurations."""
    series: dict[str, list[np.ndarray]]
    """Observables, one array per chain."""

    @cached_property
    def estimates(self) -> dict[str, Estimate]:
        """Means with errors from the Gamma method; tau_int in stored configurations."""
        return {name: estimate(chains) for name, chains in self.series.items()}

    @property
    def n_configurations(self) -> int:
        """Number of configurations of all chains together."""
        return sum(map(len, next(iter(self.series.values()))))

    @property
    def n_chains(self) -> int:
        """Number of chains that have configurations."""
        return len(next(iter(self.series.values())))

    @property
    def head(self) -> Ensemble:
        """The first ensemble."""
        return next(iter(self.files.values()))

    @property
    def title(self) -> str:
        """Theory and lattice."""
        return f"{self.head.theory}, {shape_name(self.head.shape)}"

    @property
    def state(self) -> Chains | None:
        """State of all chains, which includes their move statistics; None if any file has none, such as open worms."""
        states = [ensemble.state for ensemble in self.files.values() if ensemble.state is not None]
        return concatenated(states) if len(states) == len(self.files) else None


def measured(paths: Sequence[Path], names: Sequence[str]) -> list[Measurement]:
    """Measure observables of ensemble files, grouped and sorted by theory, lattice and couplings.

    Closed ensembles and open worms are separate groups; repeated names of observables count once.

    Raises InputError for an empty file, and for two files with the same chains.
    """
    found: dict[tuple[Any, ...], Measurement] = {}
    names = list(dict.fromkeys(names))
    for path in paths:
        series = read_series(path, names)
        _require_new(path, series, found)
        head = series.head
        group = found.setdefault(
            (head.theory, head.shape, head.worms is None), Measurement({}, {name: [] for name in names})
        )
        group.files[path] = head
        for name, chains in series.observables.items():
            group.series[name].extend(chains)
    return sorted(
        found.values(), key=lambda one: (one.head.theory.name, one.head.shape, *one.head.theory.couplings.values())
    )


def _require_new(path: Path, series: Series, found: dict[tuple[Any, ...], Measurement]) -> None:
    if not next(iter(series.observables.values())):
        raise InputError(f"{path}: has no configurations; sample it again")
    head = series.head
    for there, other in (item for group in found.values() for item in group.files.items()):
        if (other.origin, other.worms is None) == (head.origin, head.worms is None):
            raise InputError(f"{path}: has the same chains as {there}; leave one of them out")


def missing(result: Estimate, n_configurations: int) -> int | None:
    """Number of additional configurations required for a reliable error; None if there is no estimate."""
    if result.tau_int is None:
        return None
    return max(0, math.ceil(SHORTEST * result.tau_int) - n_configurations)


def as_json(found: Measurement) -> dict[str, Any]:
    """The result in JSON types; unknown values are null, with the reason in ``status``."""
    values = {
        name: {**asdict(result), "missing": missing(result, found.n_configurations)}
        for name, result in found.estimates.items()
    }
    moves, state = None, found.state
    if state is not None:
        moves = {"acceptance": state.acceptance, "worm_length": state.worm_length}
    heads = found.files.values()
    return {
        **values,
        "configurations": found.n_configurations,
        "chains": found.n_chains,
        "moves": moves,
        "theory": found.head.theory.name,
        "couplings": found.head.theory.couplings,
        "shape": found.head.shape,
        "files": list(map(str, found.files)),
        "seeds": [head.seed for head in heads],
        "spacing": [head.tuning.spacing for head in heads],
    }


def as_csv(found: Sequence[Measurement]) -> str:
    """A CSV table with one row each; unknown values are empty."""
    import pandas as pd

    return pd.DataFrame(map(_row, found)).to_csv(index=False)


def _row(found: Measurement) -> dict[str, Any]:
    heads = found.files.values()
    row = {
        "theory": found.head.theory.name,
        **found.head.theory.couplings,
        "shape": shape_name(found.head.shape),
        "configurations": found.n_configurations,
        "chains": found.n_chains,
        "seeds": " ".join(str(head.seed) for head in heads),
        "spacing": " ".join(str(head.tuning.spacing) for head in heads),
    }
    for name, result in found.estimates.items():
        known = asdict(result)
        row |= {name: known.pop("value")} | {f"{name}_{key}": value for key, value in known.items()}
    return row


def as_table(found: Sequence[Measurement]) -> str:
    """A table with one line each: couplings, lattice, and observables with errors."""
    rows = [_cells(one) for one in found]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = [columns, *([row.get(column, "") for column in columns] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _cells(found: Measurement) -> dict[str, str]:
    row = {name: coupling_text(value) for name, value in found.head.theory.couplings.items()}
    row |= {"lattice": shape_name(found.head.shape), "configurations": str(found.n_configurations)}
    for name, result in found.estimates.items():
        row[SYMBOLS.get(name, name)] = str(result)
    tau_ints = [result.tau_int for result in found.estimates.values() if result.tau_int is not None]
    r_hats = [result.r_hat for result in found.estimates.values() if result.r_hat is not None]
    return row | {
        "tau_int": f"{max(tau_ints):.2g}" if tau_ints else "",
        "R-hat": f"{max(r_hats):.3f}" if r_hats else "",
    }


def as_text(found: Measurement) -> str:
    """The result as lines of text."""
    symbols = {SYMBOLS.get(name, name): result for name, result in found.estimates.items()}
    width = max(8, *map(len, symbols))
    lines = [_line(f"{name:{width}}", result, found.n_configurations) for name, result in symbols.items()]
    heads = list(found.files.values())
    lines.append(f"{found.n_configurations} configurations from {found.n_chains} chains")
    lines.append(f"{found.title}, seed {', '.join(str(head.seed) for head in heads)}")
    if all(head.tuning.spacing for head in heads):  # unknown for imported ensembles
        spacing = ", ".join(str(head.tuning.spacing) for head in heads)
        lines[-1] += f"; {spacing} worms between configurations"
    if (state := found.state) is not None:
        accepted = ", ".join(f"{name} {fraction:.0%}" for name, fraction in state.acceptance.items())
        lines.append(f"accepted moves: {accepted}; {state.worm_length:.3g} steps per worm")
    return "\n".join(lines)


def _line(name: str, result: Estimate, n_configurations: int) -> str:
    if result.status == "constant":
        return (
            f"{name} {result.value:.6g}, constant: the same in all {n_configurations} configurations; "
            "fluctuations, if any, are too rare to be seen"
        )
    if result.error is None or result.tau_int is None:
        reasons = {
            "frozen": "every chain is frozen at a different value; sample far longer",
            "short": "fewer than 8 configurations per chain",
        }
        return f"{name} {result.value:.6g}, error unknown: {reasons[result.status]}"
    agreement = "" if result.r_hat is None else f", R-hat {result.r_hat:.3f}"
    line = f"{name} {result.value:.6g} +- {result.error:.2g}, "
    line += f"tau_int {result.tau_int:.2g} +- {result.tau_int_error:.1g}{agreement}"
    if result.status == "short":
        line += (
            f"; not reliable: all chains together are shorter than {SHORTEST} tau_int, "
            f"sample at least {missing(result, n_configurations)} more"
        )
    return line
