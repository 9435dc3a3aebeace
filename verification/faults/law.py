"""The law for every command, whatever is done to it.

It ends with code 0; or with 1 (anything), 2 (what the user got wrong), 75 (cut off) or 130 (Ctrl-C) and one line
``fluxeq: ...`` as its last word on standard error. No traceback, no warning, no death by a signal that nobody sent,
never 10 s without a word, never 2 GiB of memory, no process left behind, nothing half-written left behind.
"""

import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CODES = (0, 1, 2, 75, 130)
SILENCE = 10.0
"""Seconds without a word, at most."""
REACTION = 3.0
"""Seconds from a signal that asks a command to end until it has, at most."""
MEMORY = 2**31
"""Bytes. Of a forked command this includes what it has from its parent, some 0.4 GiB."""
FAULT = "fluxeq: a bug in fluxeq"
"""How a command begins its last word when it does not know what has happened: a line, but not one for users."""
LINE = re.compile(r"[\w |.-]+: .+|\S+\.(h5|safetensors|csv|json|html): .+")
"""A line on standard error: ``fluxeq: ...``, or a title and how far it is."""
NOISE = re.compile(
    r"Traceback|Warning\b|^\w+Error\b|Fatal Python|Exception ignored|^[WEF]\d{4} |Segmentation|core dumped"
)


@dataclass(frozen=True)
class Outcome:
    """How a command went."""

    words: tuple[str, ...]
    code: int
    """Negative: the number of the signal that it died of."""
    out: str
    err: str
    seconds: float
    silence: float
    """The longest time between two outputs, its start and its end being two of them."""
    peak: int
    """Bytes of memory."""
    sent: int | None = None
    """The signal that it was sent."""
    reaction: float = 0.0
    """Seconds from that to its end."""
    is_alone: bool = True
    """Whether all processes that it started have ended too."""
    is_heard: bool = True
    """Whether somebody read its standard error."""
    is_told: bool = True
    """Whether that was a pipe, where lines are lines."""

    def __str__(self) -> str:
        last = (self.err.strip().splitlines() or [""])[-1]
        return f"code {self.code} after {self.seconds:.1f} s: {last[:300]}"


def offences(outcome: Outcome, slack: float = 1.0) -> Iterator[str]:
    """What a command did against the law, a line each; times may be longer by a factor, where a machine is busy."""
    if outcome.code not in CODES and outcome.code != -(outcome.sent or 0):
        yield f"died of {signal.Signals(-outcome.code).name}" if outcome.code < 0 else f"exit code {outcome.code}"
    if outcome.is_heard and outcome.silence > slack * SILENCE:
        yield f"{outcome.silence:.0f} s without a word"
    if outcome.sent and outcome.sent != signal.SIGKILL and outcome.reaction > slack * REACTION:
        yield f"ended {outcome.reaction:.1f} s after {signal.Signals(outcome.sent).name}"
    if outcome.peak > MEMORY:
        yield f"took {outcome.peak / 2**30:.1f} GiB"
    if not outcome.is_alone:
        yield "left processes behind"
    if noise := [line for line in (outcome.out + "\n" + outcome.err).splitlines() if NOISE.search(line)]:
        yield f"said {noise[-1].strip()[:200]!r}"
    elif FAULT in outcome.err:
        yield f"said {outcome.err.strip().splitlines()[-1][:250]!r}"
    elif outcome.is_told:
        yield from _manners(outcome)


def _manners(outcome: Outcome) -> Iterator[str]:
    """What was wrong with the lines on standard error."""
    lines = [line for line in outcome.err.splitlines() if line.strip()]
    if strange := [line for line in lines if not LINE.fullmatch(line)]:
        yield f"said {strange[-1][:200]!r}"
    if outcome.code in CODES[1:] and not (lines and lines[-1].startswith("fluxeq: ")):
        yield f"code {outcome.code} without a line that says why"


def leftovers(folder: Path) -> Iterator[str]:
    """Files in a folder that no command may leave behind."""
    for path in sorted(folder.rglob(".*.unfinished*")):
        yield f"left {path.relative_to(folder)} behind"
