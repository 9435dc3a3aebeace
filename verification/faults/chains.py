"""Numbers of chains: any number works, on small and large lattices, dilute and dense."""

import itertools
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass

from verification.faults.case import Case, Stage

CHAINS = (1, 2, 3, 5, 8, 33, 100)
SHAPES = ("2", "16", "2x2", "4x4", "6x4", "3x5", "16x8", "60x4", "2x2x2", "4x4x4", "2x2x2x2", "4x4x4x4")
PHASES = {
    "dilute": (0.1, "1", "1.0"),
    "dense": (0.01, "1", "1.5"),
    "silent": (1.0, "1", "0"),
    "free": (1.0, "0", "0.5"),
}
"""eta - 2 d, lam, mu."""
LONGEST = 240.0


@dataclass(frozen=True)
class Sampled(Case):
    """An ensemble that is sampled, then measured."""

    def play(self, stage: Stage) -> Iterator[str]:
        """It must succeed, with the requested numbers of configurations and chains."""
        asked = dict(zip(self.words[1::2], self.words[2::2], strict=True))
        outcome = stage.run(self.words, longest=LONGEST)
        yield from stage.judged(outcome)
        if outcome.code:
            yield f"refused: {outcome}"
            return
        measured = stage.run(("measure", "e.h5", "--json"))
        yield from stage.judged(measured)
        found = json.loads(measured.out) if measured.code == 0 else {}
        n, n_chains = int(asked["--configurations"]), int(asked["--chains"])
        if found.get("configurations") != n or found.get("chains") != min(n, n_chains):
            yield f"{found.get('configurations')} configurations of {found.get('chains')} chains"


def cases(seed: int) -> Iterator[Sampled]:
    """All numbers of chains on all lattices in all phases, in random order, repeated with new seeds."""
    rng = random.Random(seed)
    every = list(itertools.product(CHAINS, SHAPES, PHASES))
    while True:
        rng.shuffle(every)
        for n_chains, shape, phase in every:
            mass, lam, mu = PHASES[phase]
            eta = 2 * len(shape.split("x")) + mass
            given = {"shape": shape, "eta": f"{eta:g}", "lam": lam, "mu": mu, "chains": str(n_chains)}
            given |= {"configurations": str(rng.choice((1, 10, n_chains + 1, 200)))}
            given |= {"seed": str(rng.randrange(1000)), "output": "e.h5"}
            yield Sampled(("sample", *(word for name, value in given.items() for word in (f"--{name}", value))))
