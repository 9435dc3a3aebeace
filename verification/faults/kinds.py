"""All kinds of cases, by name."""

from collections.abc import Callable, Iterator

from verification.faults import (
    arguments,
    chains,
    couples,
    couplings,
    damage,
    disks,
    environments,
    made_up,
    runners,
    signals,
    streams,
)
from verification.faults.case import Case

KINDS: dict[str, tuple[Callable[[int], Iterator[Case]], int]] = {
    "runners": (runners.cases, 60),
    "arguments": (arguments.cases, 4000),
    "damage": (damage.cases, 1500),
    "chains": (chains.cases, 120),
    "couplings": (couplings.cases, 300),
    "studies": (made_up.studies, 300),
    "ensembles": (made_up.ensembles, 300),
    "models": (made_up.models, 200),
    "environments": (environments.cases, 350),
    "streams": (streams.cases, 200),
    "disks": (disks.cases, 120),
    "couples": (couples.cases, 60),
    "signals": (signals.cases, 180),
}
"""Their generators, reproducible by seed, and the number of cases in the long run."""
