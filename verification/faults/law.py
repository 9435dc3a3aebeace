"""The rules for every command, under any fault.

It exits with code 0; or with 1 (anything else), 2 (invalid input), 75 (terminated) or 130 (Ctrl-C) and a last line
``fluxeq: ...`` on standard error. No traceback, no warning, no death by a signal that nobody sent, never 10 s without
output, never 2 GiB of memory, no process left behind, no partial file left behind.
"""

import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CODES = (0, 1, 2, 75, 130)
SILENCE = 10.0
"""Maximum time without output, in seconds."""
REACTION = 3.0
"""Maximum time from a signal that asks for termination to the exit, in seconds."""
MEMORY = 2**31
"""Maximum memory, in bytes. A forked command inherits about 0.4 GiB of it from its parent."""
FAULT = "fluxeq: a bug in fluxeq"
"""Start of the message after an unforeseen error: one line, but not one for users."""
LINE = re.compile(r"[\w |.-]+: .+|\S+\.(h5|safetensors|csv|json|html): .+")
"""A line on standard error: ``fluxeq: ...``, or a title with its progress."""
NOISE = re.compile(
    r"Traceback|Warning\b|^\w+Error\b|Fatal Python|Exception ignored|^[WEF]\d{4} |Segmentation|core dumped"
)


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    words: tuple[str, ...]
    code: int
    """Negative: the number of the signal that killed it."""
    out: str
    err: str
    seconds: float
    silence: float
    """The longest time without output, between start and exit."""
    peak: int
    """Peak memory in bytes."""
    sent: int | None = None
    """The signal sent to it."""
    reaction: float = 0.0
    """Seconds from the signal to the exit."""
    is_alone: bool = True
    """Whether all processes that it started have ended too."""
    is_heard: bool = True
    """Whether its standard error was read."""
    is_told: bool = True
    """Whether its standard error was a pipe, so that lines can be checked."""

    def __str__(self) -> str:
        last = (self.err.strip().splitlines() or [""])[-1]
        return f"code {self.code} after {self.seconds:.1f} s: {last[:300]}"


def offences(outcome: Outcome, slack: float = 1.0) -> Iterator[str]:
    """Violations of the rules, one line each; ``slack`` is a factor on the time limits, for a busy machine."""
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
    """Violations in the lines on standard error."""
    lines = [line for line in outcome.err.splitlines() if line.strip()]
    if strange := [line for line in lines if not LINE.fullmatch(line)]:
        yield f"said {strange[-1][:200]!r}"
    if outcome.code in CODES[1:] and not (lines and lines[-1].startswith("fluxeq: ")):
        yield f"code {outcome.code} without a line that says why"


def leftovers(folder: Path) -> Iterator[str]:
    """Temporary files in a folder, which no command may leave behind."""
    for path in sorted(folder.rglob(".*.unfinished*")):
        yield f"left {path.relative_to(folder)} behind"
