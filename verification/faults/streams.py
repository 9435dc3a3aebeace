"""Streams that are closed, full, without a reader or ASCII only, and unusual terminals."""

import itertools
import os
import random
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from verification.faults import work
from verification.faults.case import UNDISTURBED, Case, Stage
from verification.faults.contents import contents, differences

STATES: dict[str, dict[str, Any]] = {
    "stdin closed": {"closed": (0,)},
    "stdout closed": {"closed": (1,)},
    "stderr closed": {"closed": (2,)},
    "stdout and stderr closed": {"closed": (1, 2)},
    "all closed": {"closed": (0, 1, 2)},
    "stdout full": {"full": (1,)},
    "stderr full": {"full": (2,)},
    "both full": {"full": (1, 2)},
    "reader of stdout gone": {"gone": (1,)},
    "reader of stderr gone": {"gone": (2,)},
    "both readers gone": {"gone": (1, 2)},
    "ASCII": {"environment": {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}},
    "terminal": {"terminal": (24, 80), "environment": {"TERM": "xterm-256color"}},
    "dumb terminal": {"terminal": (24, 80), "environment": {"TERM": "dumb"}},
    "terminal without a name": {"terminal": (24, 80), "environment": {"TERM": None}},
    "terminal of width 1": {"terminal": (24, 1), "environment": {"TERM": "xterm"}},
    "terminal of no size": {"terminal": (0, 0), "environment": {"TERM": "xterm"}},
    "ASCII terminal": {"terminal": (24, 80), "environment": {"PYTHONIOENCODING": "ascii", "TERM": "xterm"}},
}


@dataclass(frozen=True)
class Streamed(Case):
    """A command with unusual streams."""

    state: str

    @property
    def detail(self) -> str:
        """The state of the streams."""
        return self.state

    def play(self, stage: Stage) -> Iterator[str]:
        """It works as usual, and fails only if its output is lost."""
        _, there = UNDISTURBED.of(self.words, stage, self.prepare)
        self.prepare(stage)
        settings = dict(STATES[self.state])
        full, gone = settings.pop("full", ()), settings.pop("gone", ())
        with ExitStack() as stack:
            streams = {place: _full() for place in full} | {place: _deserted() for place in gone}
            for fd in streams.values():
                stack.callback(os.close, fd)
            outcome = stage.run(self.words, fresh=True, streams=streams, longest=90.0, **settings)
        for offence in stage.judged(outcome):
            if not (gone and offence.startswith("code 1 without a line")):  # the reader has closed its end
                yield offence
        if outcome.code and not (full or gone):
            yield f"failed: {outcome}"
        elif outcome.code:
            again = stage.run(self.words)
            yield from (f"again: {offence}" for offence in stage.judged(again))
            if again.code and self.words[0] not in work.ONCE:
                yield f"again: {again}"
        elif 1 in full:
            yield "code 0, but what it said was lost"
        yield from differences(there, contents(stage.folder))


def _full() -> int:
    return os.open("/dev/full", os.O_WRONLY)


def _deserted() -> int:
    """The write end of a pipe without a reader."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def cases(seed: int) -> Iterator[Streamed]:
    """All states with all commands, in random order; some paths are not ASCII."""
    rng = random.Random(seed)
    every = list(itertools.product(work.EVERY, STATES))
    rng.shuffle(every)
    for line, state in every:
        place = rng.choice(("out", "é∞"))
        yield Streamed(tuple(line.replace("out/", f"{place}/").split()), state)
