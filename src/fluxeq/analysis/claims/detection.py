"""The claims on the detection of an open worm."""

from collections.abc import Sequence
from functools import partial

from fluxeq.analysis.claims.claim import Claim, Verdict
from fluxeq.analysis.claims.medians import OverInstances, compared, over_instances
from fluxeq.analysis.spread import interval, median
from fluxeq.analysis.tables import Results
from fluxeq.errors import InputError
from fluxeq.study.values import named

SECTION = "detection"

CLOSE = 0.05
"""D1, D2: difference of accuracies that is small; some times the statistical error of 1000 configurations."""
SUCCESSFUL = 0.9
"""D4: accuracy of a model that has learned the task; what the others react to says nothing about detection."""
ONE_SIDED = 0.5
"""D4: selectivity of a model that reacts to one violation only: one response is at least three times the other."""


def _ranks(results: Results) -> Verdict:
    found = _over_mu(results, ("EQ", "ST", "FL"))
    eq, st, fl = (found.medians[name] for name in ("EQ", "ST", "FL"))
    holds = (fl < eq).all() and ((st - eq).abs() <= CLOSE).all()
    return Verdict(f"median accuracy at mu = {found}", holds)


def _ignores_mu(results: Results) -> Verdict:
    found = _over_mu(results, ("EQ",))
    accuracy = found.medians["EQ"]
    if len(accuracy) < 2:
        raise InputError("detection was tested at one mu only; a spread needs at least two")
    difference = accuracy.max() - accuracy.min()
    return Verdict(f"median accuracy at mu = {found}; a spread of {difference:.3g}", difference <= CLOSE)


def _over_mu(results: Results, architectures: Sequence[str]) -> OverInstances:
    shape = named(results.section(SECTION).shape)
    rows = compared(results, SECTION, augmentation=False, shape=shape)
    return over_instances(rows, "accuracy", "mu", architectures)


def _suffers_from_size(results: Results) -> Verdict:
    found = over_instances(compared(results, SECTION, augmentation=False), "accuracy", "shape", ("EQ", "ST"))
    if len(found.medians) < 2:
        raise InputError("EQ and ST were tested on one common lattice only; sizes need at least two")
    smallest, largest = found.medians.iloc[0], found.medians.iloc[-1]
    return Verdict(f"median accuracy on {found}", (largest < smallest).all())


def _is_one_sided(results: Results) -> Verdict:
    responses = results.first_families(SECTION, results.measurement("responses", SECTION))
    successful = responses[responses["accuracy"] >= SUCCESSFUL]
    parts, medians = [], []
    for name in ("EQ", "ST"):
        # A model that responds to neither (0 / 0) is not one-sided.
        found = successful.loc[successful["architecture"] == name, "selectivity"].fillna(0.0)
        if found.empty:
            parts.append(f"no {name} model reaches an accuracy of {SUCCESSFUL}")
            continue
        medians.append(float(found.median()))
        parts.append(f"{name} {medians[-1]:.3g}{interval(median, found.to_numpy())} over {len(found)} models")
    if not medians:
        raise InputError("; ".join(parts))
    return Verdict(f"median selectivity: {'; '.join(parts)}", min(medians) >= ONE_SIDED)


_claim = partial(Claim, section=SECTION)
D1 = _claim(
    "D1",
    "In the detection of an open worm, FL is worse than EQ, and ST is close to EQ.",
    "FL worse, ST very close (fig. 6a)",
    _ranks,
)
D2 = _claim("D2", "The detection depends little on mu.", "not particularly sensitive (fig. 6a)", _ignores_mu)
D3 = _claim("D3", "The detection is harder on larger lattices.", "precision reduced (fig. 6b)", _suffers_from_size)
D4 = _claim(
    "D4",
    "Networks that detect open worms react to one of their two ends only.",
    "just one of the two flux violations (fig. 5b)",
    _is_one_sided,
)
