"""Forked and fresh commands behave alike, so that most cases may be forked."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from verification.faults import arguments, work
from verification.faults.arguments import odd_places
from verification.faults.case import Case, Stage
from verification.faults.contents import contents, differences
from verification.faults.law import Outcome

WORKING = [tuple(line.split()) for line in work.EVERY]


@dataclass(frozen=True)
class Alike(Case):
    """A command, forked and fresh."""

    def play(self, stage: Stage) -> Iterator[str]:
        """Both give the same output, files and exit code."""
        forked, there = self._one(stage, fresh=False)
        fresh, here = self._one(stage, fresh=True)
        for name, one, other in (
            ("code", forked.code, fresh.code),
            ("standard output", forked.out, fresh.out),
            ("last word", _last(forked), _last(fresh).replace("/fresh/", "/forked/")),
        ):
            if one != other:
                yield f"{name}: forked {one!r}, fresh {other!r}"
        yield from differences(there, here)

    def _one(self, stage: Stage, fresh: bool) -> tuple[Outcome, dict[str, object]]:
        place = stage.within("fresh" if fresh else "forked")
        self.prepare(place)
        odd_places(place)
        outcome = place.run(self.words, fresh=fresh, longest=60.0)
        stage.last = outcome
        return outcome, contents(place.folder)


def _last(outcome: Outcome) -> str:
    """The line with the reason of a failure; progress lines depend on the time."""
    return outcome.err.strip().splitlines()[-1] if outcome.code else ""


def cases(seed: int) -> Iterator[Alike]:
    """Commands that succeed, and commands with odd arguments, without end."""
    rng = random.Random(seed)
    yield from (Alike(words) for words in rng.sample(WORKING, len(WORKING)))
    yield from (Alike(case.words) for case in arguments.cases(seed))
