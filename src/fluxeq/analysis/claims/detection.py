"""Claims on the detection of an open worm."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from fluxeq.analysis.claims.bound import ABOVE_ZERO, Bound
from fluxeq.analysis.claims.claim import Claim, Verdict, verdict
from fluxeq.analysis.claims.medians import Scores, others, reference
from fluxeq.analysis.spread import interval, median
from fluxeq.analysis.tables import Results
from fluxeq.errors import InputError
from fluxeq.lattice import shape_name

SECTION = "detection"

CLOSE = 0.05
"""D1, D2: difference of accuracies that counts as small; a few statistical errors of 1000 configurations."""
SUCCESSFUL = 0.9
"""D4: accuracy of a model that has learned the task; the responses of others say nothing about detection."""
ONE_SIDED = 0.5
"""D4: selectivity of a model that reacts to one violation only: one response is at least three times the other."""


def _ranks(results: Results) -> Verdict:
    eq, strided = reference(results, SECTION), others(results, SECTION, ("ST",))
    flattened = others(results, SECTION, ("FL",))
    found = _over_mu(results, (eq, *strided, *flattened))
    bounds = [
        found.bound(name, lambda own, other: np.min(own - other, axis=-1), eq, name, least=ABOVE_ZERO)
        for name in flattened
    ]
    bounds += [
        found.bound(name, lambda own, other: np.max(np.abs(own - other), axis=-1), eq, name, most=CLOSE)
        for name in strided
    ]
    return verdict(f"median accuracy at mu = {found}", bounds)


def _ignores_mu(results: Results) -> Verdict:
    eq = reference(results, SECTION)
    found = _over_mu(results, (eq,))
    if len(found.table) < 2:
        raise InputError("detection was tested at one mu only; a spread needs at least two")
    spread = found.bound(eq, partial(np.ptp, axis=-1), eq, most=CLOSE)
    widest = np.ptp(np.median(found.table.to_numpy(), axis=1))
    return verdict(f"median accuracy at mu = {found}; a spread of {widest:.3g}{spread.interval}", [spread])


def _over_mu(results: Results, families: Sequence[str]) -> Scores:
    rows = results.largest(SECTION, shape=shape_name(results.section(SECTION).shape))
    return Scores.of(rows, "accuracy", "mu", families)


def _suffers_from_size(results: Results) -> Verdict:
    families = [reference(results, SECTION), *others(results, SECTION, ("ST",))]
    found = Scores.of(results.largest(SECTION), "accuracy", "shape", families)
    if len(found.table) < 2:
        raise InputError("EQ and ST were tested on one common lattice only; sizes need at least two")
    bounds = [
        found.bound(name, lambda medians: medians[..., 0] - medians[..., -1], name, least=ABOVE_ZERO)
        for name in families
    ]
    return verdict(f"median accuracy on {found}", bounds)


def _is_one_sided(results: Results) -> Verdict:
    responses = results.measurement("responses", SECTION)
    successful = responses[responses["accuracy"] >= SUCCESSFUL]
    parts, bounds = [], []
    for name in (reference(results, SECTION), *others(results, SECTION, ("ST",))):
        # A model that responds to neither (0 / 0) is not one-sided.
        found = successful.loc[successful["family"] == name, "selectivity"].fillna(0.0).to_numpy()
        if not len(found):
            parts.append(f"no {name} model reaches an accuracy of {SUCCESSFUL}")
            continue
        bounds.append(Bound(name, interval(median, found), len(found), least=ONE_SIDED, value=float(np.median(found))))
        parts.append(f"{name} {np.median(found):.3g}{bounds[-1].interval} over {len(found)} models")
    if not bounds:
        raise InputError("; ".join(parts))
    return verdict(f"median selectivity: {'; '.join(parts)}", bounds)


_claim = partial(Claim, section=SECTION)
D1 = _claim(
    "D1",
    "In the detection of an open worm, FL is worse than EQ, and ST is close to EQ.",
    "FL worse, ST very close (fig. 6a)",
    _ranks,
    quantity="accuracy of EQ less that of the family: of FL the least over mu, of ST the largest",
)
D2 = _claim(
    "D2",
    "The detection depends little on mu.",
    "not particularly sensitive (fig. 6a)",
    _ignores_mu,
    quantity="spread of the median accuracy over mu",
)
D3 = _claim(
    "D3",
    "The detection is harder on larger lattices.",
    "precision reduced (fig. 6b)",
    _suffers_from_size,
    quantity="median accuracy on the smallest lattice less that on the largest",
)
D4 = _claim(
    "D4",
    "Networks that detect open worms react to one of their two ends only.",
    "just one of the two flux violations (fig. 5b)",
    _is_one_sided,
    quantity="selectivity: 1 if one end alone causes a response, 0 if both cause the same",
)
