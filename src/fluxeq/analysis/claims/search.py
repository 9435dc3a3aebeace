"""The claim on the searches: which sizes of networks they prefer, over all sections that have one."""

from fluxeq.analysis.claims.claim import Claim, Verdict
from fluxeq.analysis.tables import Results, select
from fluxeq.errors import InputError

SMALLEST_NETWORK, LARGEST_NETWORK = 1e2, 1e5
"""S1: as in the paper."""


def _prefers_small_networks(results: Results) -> Verdict:
    """That of the networks at hand, so that it has no interval."""
    parts, numbers = [], []
    for section, settings in results.study.tasks.items():
        names = results.families(section, augmentation=False)
        searched = [name for name in names if settings.families[name].searched]
        if not searched:
            continue
        rows = results.final(section)
        found = {name: sorted(select(rows, family=name)["n_parameters"].unique()) for name in searched}
        numbers += [n for several in found.values() for n in several]
        listed = (f"{name} {' and '.join(map(str, several))}" for name, several in found.items())
        parts.append(f"{section} {', '.join(listed)}")
    if not numbers:
        raise InputError("study.toml: no network of this protocol comes from a search")
    return Verdict("; ".join(parts), all(SMALLEST_NETWORK <= n <= LARGEST_NETWORK for n in numbers))


S1 = Claim(
    "S1",
    "The search prefers small and medium-sized networks.",
    "10^2 to 10^5 parameters",
    _prefers_small_networks,
)
