"""Couplings of all magnitudes and signs: an ensemble with finite observables, or one line with the reason."""

import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from verification.faults.case import Case, Stage

LONGEST = 15.0
"""Seconds after which a sampling that shows progress is stopped."""


@dataclass(frozen=True)
class Coupled(Case):
    """An ensemble at given couplings."""

    def play(self, stage: Stage) -> Iterator[str]:
        """What can be sampled can be measured, with finite results."""
        outcome = stage.run(self.words, longest=LONGEST)
        yield from stage.judged(outcome)
        if outcome.code:
            return
        measured = stage.run(("measure", "e.h5", "--json"))
        yield from stage.judged(measured)
        if measured.code:
            yield f"cannot be measured: {measured}"
            return
        found = json.loads(measured.out)
        for name in ("n", "phi2"):
            if not math.isfinite(found[name]["value"]):
                yield f"{name} is {found[name]['value']}"


def drawn(rng: random.Random) -> float:
    """A number of any sign and magnitude, or zero; moderate magnitudes are more frequent."""
    widest = rng.choice((0.5, 0.5, 2, 6, 300))
    return rng.choice((1, 1, 1, -1)) * 10 ** rng.uniform(-widest, widest) * rng.choice((0, 1, 1, 1, 1, 1, 1))


def cases(seed: int) -> Iterator[Coupled]:
    """Couplings on small lattices, without end."""
    rng = random.Random(seed)
    while True:
        eta, lam, mu = drawn(rng), abs(drawn(rng)) if rng.random() < 0.9 else drawn(rng), drawn(rng)
        shape = rng.choice(("2x2", "4x2", "4x4", "3x3x3", "8"))
        given = {"shape": shape, "eta": repr(eta), "lam": repr(lam), "mu": repr(mu), "output": "e.h5"}
        given |= {"configurations": "8", "seed": str(rng.randrange(1000)), "chains": str(rng.choice((1, 4)))}
        yield Coupled(("sample", *(f"--{name}={value}" for name, value in given.items())))
