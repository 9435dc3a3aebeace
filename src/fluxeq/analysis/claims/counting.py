"""Claims on the counting of open worms."""

from functools import partial

import numpy as np

from fluxeq.analysis.claims.bound import Bound
from fluxeq.analysis.claims.claim import Claim, Verdict, verdict
from fluxeq.analysis.claims.medians import Scores, others, reference
from fluxeq.analysis.spread import Interval, instance_scores, sizes
from fluxeq.analysis.tables import Results, select
from fluxeq.errors import InputError
from fluxeq.lattice import shape_name

SECTION = "counting"

GOOD, FAILS = 0.95, 0.8
"""C1: accuracy of a good performance, and of a failure, at which one count in five is wrong."""
SMALL_NUMBERS = (1, 2, 3)
"""C1: small numbers of worms, between the 0 and the 5 of the training set."""


def _counts_every_number(results: Results) -> Verdict:
    eq, broken = reference(results, SECTION), others(results, SECTION)
    shape = shape_name(results.section(SECTION).shape)
    found = Scores.of(results.largest(SECTION, shape=shape), "accuracy", "n_worms", (eq, *broken))
    small = found.table.index.isin(SMALL_NUMBERS)
    if not small.any():
        raise InputError(f"counting was not tested with {', '.join(map(str, SMALL_NUMBERS))} worms")

    def lowest_of_small(medians: np.ndarray) -> np.ndarray:
        return np.min(medians[..., small], axis=-1)

    bounds = [found.bound(eq, partial(np.min, axis=-1), eq, least=GOOD)]
    bounds += [found.bound(name, lowest_of_small, name, most=np.nextafter(FAILS, 0)) for name in broken]
    return verdict(f"median accuracy on {shape} with N = {found}", bounds)


def _counts_without_error(results: Results) -> Verdict:
    """Judges the given instances, so there is no interval."""
    rows = select(results.largest(SECTION), family=reference(results, SECTION))
    worst = instance_scores(rows, "accuracy", ["shape"]).groupby("shape")["accuracy"].min()
    worst = worst.sort_index(key=sizes)
    listed = ", ".join(f"{shape} {accuracy:.6g}" for shape, accuracy in worst.items())
    n = rows["instance"].nunique()
    bounds = [Bound(shape, Interval(found, found), n, least=1.0, value=found) for shape, found in worst.items()]
    return Verdict(f"worst of {n} instances: {listed}", bool((worst == 1.0).all()), bounds)


_claim = partial(Claim, section=SECTION)
C1 = _claim(
    "C1",
    "EQ counts any number of open worms well; ST and FL fail at small numbers.",
    "EQ consistently good, ST and FL struggle (fig. 7a)",
    _counts_every_number,
    quantity="lowest median accuracy, of ST and FL that at small numbers",
)
C2 = _claim(
    "C2",
    "Every EQ instance counts without any error on every lattice.",
    "all 20 instances at 100 % (fig. 7b)",
    _counts_without_error,
    quantity="accuracy of the worst instance",
)
