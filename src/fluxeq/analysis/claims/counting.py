"""The claims on the counting of open worms."""

from functools import partial

from fluxeq.analysis.claims.claim import Claim, Verdict
from fluxeq.analysis.claims.medians import compared, over_instances
from fluxeq.analysis.spread import instance_scores, shapes, sizes
from fluxeq.analysis.tables import Results, select
from fluxeq.errors import InputError

SECTION = "counting"

GOOD, FAILS = 0.95, 0.8
"""C1: accuracy of a good performance, and one that is not: one count in five is wrong."""
SMALL_NUMBERS = (1, 2, 3)
"""C1: small numbers of worms: above the 0, and clearly below the 5, of the training set."""


def _counts_every_number(results: Results) -> Verdict:
    rows = compared(results, SECTION, augmentation=False)
    rows = select(rows, shape=shapes(rows)[0])
    found = over_instances(rows, "accuracy", "n_worms", ("EQ", "ST", "FL"))
    small = found.medians.loc[found.medians.index.isin(SMALL_NUMBERS), ["ST", "FL"]]
    if small.empty:
        raise InputError(f"counting was not tested with {', '.join(map(str, SMALL_NUMBERS))} worms")
    holds = (found.medians["EQ"] >= GOOD).all() and (small.min() < FAILS).all()
    return Verdict(f"median accuracy on {rows['shape'].iloc[0]} with N = {found}", holds)


def _counts_without_error(results: Results) -> Verdict:
    rows = compared(results, SECTION, architecture="EQ", augmentation=False)
    worst = instance_scores(rows, "accuracy", ["shape"]).groupby("shape")["accuracy"].min()
    worst = worst.sort_index(key=sizes)
    listed = ", ".join(f"{shape} {accuracy:.6g}" for shape, accuracy in worst.items())
    return Verdict(f"worst of {rows['instance'].nunique()} instances: {listed}", (worst == 1.0).all())


_claim = partial(Claim, section=SECTION)
C1 = _claim(
    "C1",
    "EQ counts any number of open worms well; ST and FL fail at small numbers.",
    "EQ consistently good, ST and FL struggle (fig. 7a)",
    _counts_every_number,
)
C2 = _claim(
    "C2",
    "Every EQ instance counts without any error on every lattice.",
    "all 20 instances at 100 % (fig. 7b)",
    _counts_without_error,
)
