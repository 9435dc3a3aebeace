"""Two processes with one output at the same time: at least one succeeds, and the result is that of a single one."""

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from verification.faults import work
from verification.faults.case import UNDISTURBED, Case, Stage
from verification.faults.contents import contents, differences
from verification.faults.law import Outcome

LONG = "sample --shape 16x16 --eta 4.01 --lam 1 --mu 1.5 --configurations 2000 --seed 1 --output out/e.h5"
LINES = (
    work.SAMPLE,
    work.SWEEP,
    work.EXPORT,
    work.IMPORT,
    LONG,
    work.WORMS,
    work.TRAIN,
    work.TWO,
    work.PREDICT,
    work.SEARCH,
    work.PLOT,
    *work.READING,
    work.REPRODUCE,
)
HEAVY = ("reproduce tiny.toml --output out",)
SHARED = ("search",)
"""Commands whose processes share the work; which process tries which setting is random."""


@dataclass(frozen=True)
class Couple(Case):
    """A command started twice, the second time after a delay."""

    delay: float
    """In units of the run time."""
    fresh: bool

    @property
    def detail(self) -> str:
        """The delay of the second process."""
        return f"twice, the second after {self.delay:.2f} of its time"

    def play(self, stage: Stage) -> Iterator[str]:
        """At least one succeeds, and the result is that of a single one."""
        reference, there = UNDISTURBED.of(self.words, stage, self.prepare)
        self.prepare(stage)
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(self._one, stage, 0.0)
            second = pool.submit(self._one, stage, self.delay * reference.seconds)
            outcomes = first.result(), second.result()
        for name, outcome in zip(("first", "second"), outcomes, strict=True):
            yield from (f"{name}: {offence}" for offence in stage.judged(outcome))
            if outcome.code not in (0, 2):
                yield f"{name}: {outcome}"
        if all(outcome.code for outcome in outcomes):
            yield "both failed"
        if self.words[0] not in SHARED:
            here = contents(stage.folder)
            yield from differences(there, here)

    def _one(self, stage: Stage, delay: float) -> Outcome:
        time.sleep(delay)
        return stage.run(self.words, longest=300.0, fresh=self.fresh)


def cases(seed: int) -> Iterator[Couple]:
    """All commands in random order, half of the pairs simultaneously, without end."""
    rng = random.Random(seed)
    while True:
        for line in (*rng.sample(LINES * 2, 2 * len(LINES)), *HEAVY):
            delay = rng.choice((0.0, rng.uniform(0, 1.2)))
            yield Couple(tuple(line.split()), delay, rng.random() < 0.2)
