"""The claim on the sizes of networks preferred by searches, over all sections with a search."""

from fluxeq.analysis.claims.bound import Bound
from fluxeq.analysis.claims.claim import Claim, Verdict
from fluxeq.analysis.spread import Interval
from fluxeq.analysis.tables import Results, select
from fluxeq.errors import InputError

SMALLEST_NETWORK, LARGEST_NETWORK = 1e2, 1e5
"""S1: as in the paper."""
EXACT = 2
"""S1: nominal number of instances, so that a number without statistical error counts as decided."""


def _prefers_small_networks(results: Results) -> Verdict:
    """Judges the given networks, so there is no interval."""
    parts: list[str] = []
    bounds: list[Bound] = []
    for section, settings in results.study.tasks.items():
        names = results.families(section, augmentation=False)
        searched = [name for name in names if settings.families[name].searched]
        if not searched:
            continue
        rows = results.largest(section)
        found = {name: sorted(select(rows, family=name)["n_parameters"].unique()) for name in searched}
        bounds += [_bound(f"{section}, {name}", n) for name, several in found.items() for n in several]
        listed = (f"{name} {' and '.join(map(str, several))}" for name, several in found.items())
        parts.append(f"{section} {', '.join(listed)}")
    if not bounds:
        raise InputError("study.toml: no network of this protocol comes from a search")
    return Verdict("; ".join(parts), all(bound.holds for bound in bounds), bounds)


def _bound(name: str, n_parameters: float) -> Bound:
    """The bound on the size of a network, which has no error."""
    size = float(n_parameters)
    return Bound(name, Interval(size, size), EXACT, SMALLEST_NETWORK, LARGEST_NETWORK, size)


S1 = Claim(
    "S1",
    "The search prefers small and medium-sized networks.",
    "10^2 to 10^5 parameters",
    _prefers_small_networks,
    quantity="parameters",
)
