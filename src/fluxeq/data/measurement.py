"""Measured means of an ensemble file, as people and programs read them."""

from pathlib import Path
from typing import Any, NamedTuple

from fluxeq.data.ensembles import open_ensemble
from fluxeq.statistics import SHORTEST, Estimate, by_chain, estimate


class Measured(NamedTuple):
    """n and |phi|^2 of an ensemble, and how much of it there is."""

    n: Estimate
    phi2: Estimate
    n_configurations: int
    n_chains: int


def measured(path: Path) -> Measured:
    """Means over an ensemble with errors from the Gamma method; tau_int in stored configurations."""
    ensemble = open_ensemble(path)
    n, phi2 = (estimate(by_chain(values, ensemble.chain)) for values in (ensemble.n, ensemble.phi2))
    return Measured(n, phi2, len(ensemble), ensemble.n_chains)


def as_json(found: Measured) -> dict[str, Any]:
    """The result in JSON's types; what is unknown is null, and ``status`` says why."""
    values = {
        name: {
            "value": result.value,
            "error": result.error,
            "tau_int": result.tau_int,
            "r_hat": result.r_hat,
            "status": result.status,
        }
        for name, result in (("n", found.n), ("phi2", found.phi2))
    }
    return {**values, "configurations": found.n_configurations, "chains": found.n_chains}


def as_text(found: Measured) -> str:
    """The result as a few lines."""
    lines = [_line("n", found.n), _line("|phi|^2", found.phi2)]
    lines.append(f"{found.n_configurations} configurations from {found.n_chains} chains")
    return "\n".join(lines)


def _line(name: str, result: Estimate) -> str:
    if result.error is None or result.tau_int is None:
        reasons = {
            "constant": "the same in every configuration",
            "frozen": "every chain keeps a value of its own; sample far longer",
            "short": "fewer than 8 configurations a chain",
        }
        return f"{name:8} {result.value:.6g}, error unknown: {reasons[result.status]}"
    agreement = "" if result.r_hat is None else f", R-hat {result.r_hat:.3f}"
    line = f"{name:8} {result.value:.6g} +- {result.error:.2g}, tau_int {result.tau_int:.2g}{agreement}"
    if result.status == "short":
        line += f"; too short to trust: all chains together span less than {SHORTEST} tau_int, sample more"
    return line
