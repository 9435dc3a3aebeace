"""The claim on the searches: which sizes of networks they prefer, over all sections that have one."""

from fluxeq.analysis.claims.claim import Claim, Verdict
from fluxeq.analysis.tables import Results, select
from fluxeq.errors import InputError

SMALLEST_NETWORK, LARGEST_NETWORK = 1e2, 1e5
"""S1: as in the paper."""


def _prefers_small_networks(results: Results) -> Verdict:
    sections = {name: section for name, section in results.study.tasks.items() if section.search is not None}
    if not sections:
        raise InputError("study.toml: has no search")
    parts, numbers = [], []
    for section, settings in sections.items():
        families = {name: family for name, family in settings.families.items() if family.function is None}
        if given := [name for name, family in families.items() if not family.searched]:
            raise InputError(f"study.toml: gives the {section} its networks of {', '.join(given)}, without a search")
        rows, listed = results.final(section, augmentation=False), []
        for name in (name for name, family in families.items() if not family.augmentation):
            found = sorted(select(rows, family=name)["n_parameters"].unique())
            numbers += found
            listed.append(f"{name} {' and '.join(map(str, found))}")
        parts.append(f"{section} {', '.join(listed)}")
    return Verdict("; ".join(parts), all(SMALLEST_NETWORK <= n <= LARGEST_NETWORK for n in numbers))


S1 = Claim(
    "S1",
    "The search prefers small and medium-sized networks.",
    "10^2 to 10^5 parameters",
    _prefers_small_networks,
)
