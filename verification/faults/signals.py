"""Signals at random times: a command ends soon, and the same command again gives the undisturbed result."""

import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass

from verification.faults import work
from verification.faults.case import UNDISTURBED, Case, Stage
from verification.faults.contents import contents, differences

SAMPLE = "sample --shape 24x24 --eta 4.01 --lam 1 --mu 1.5 --configurations 2000 --seed 1 --output out/e.h5"
THERMALISING = "sample --shape 40x4 --eta 4.01 --lam 1 --mu 1.05 --configurations 20 --seed 1 --output out/e.h5"
LONG = work.TWO.replace("recipe.json", "some.json")
ALONE = work.TRAIN.replace("recipe.json", "some.json")
LINES = (
    *(SAMPLE, THERMALISING, LONG, ALONE, work.SEARCH, work.WORMS, work.EVALUATE, work.PREDICT, work.PLOT, work.MEASURE),
    *(*work.READING, work.REPRODUCE),
)
HEAVY = ("reproduce tiny.toml --output out",)
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGKILL)
ASK = {signal.SIGINT: 130, signal.SIGTERM: 75, signal.SIGUSR1: 75}
"""Exit codes after signals that ask for termination."""
BRIEF = ("measure", "predict", "worms", "figure", "report")
"""Commands that do not lock their outputs, and leave the temporary files of a killed process."""
CHANCE = ("search",)
"""Commands whose results may depend on where they were interrupted."""


@dataclass(frozen=True)
class Signalled(Case):
    """A command that receives a signal, and is started again."""

    number: int
    moment: float
    """In units of the run time."""
    fresh: bool

    @property
    def detail(self) -> str:
        """The signal and its time."""
        return f"{signal.Signals(self.number).name} after {self.moment:.2f} of its time"

    def play(self, stage: Stage) -> Iterator[str]:
        """It ends soon, and the second start completes its work."""
        reference, there = UNDISTURBED.of(self.words, stage, self.prepare)
        self.prepare(stage)
        moment = self.moment * (reference.seconds + 1.5 * self.fresh)
        first = stage.run(self.words, signal=(self.number, moment), fresh=self.fresh, longest=300.0)
        yield from stage.judged(first)
        if first.sent and first.code not in (0, ASK.get(signal.Signals(self.number)), -self.number):
            yield f"interrupted: {first}"
        second = stage.run(self.words, longest=300.0)
        yield from (f"again: {offence}" for offence in stage.judged(second))
        if second.code and not (self.words[0] in work.ONCE and second.code == 2):
            yield f"again: {second}"
        elif self.words[0] not in CHANCE:
            here = contents(stage.folder)
            if self.number == signal.SIGKILL and self.words[0] in BRIEF:  # they may belong to another process
                here = {name: value for name, value in here.items() if ".unfinished" not in name}
            yield from differences(there, here)


def cases(seed: int) -> Iterator[Signalled]:
    """All commands and signals in random order, without end."""
    rng = random.Random(seed)
    every = [(line, number) for line in LINES for number in NUMBERS]
    while True:
        for line, number in (*rng.sample(every, len(every)), (HEAVY[0], rng.choice(NUMBERS))):
            yield Signalled(tuple(line.split()), number, rng.uniform(0, 1.1), rng.random() < 0.25)
