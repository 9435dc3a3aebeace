"""How a command ends: exit codes, one line on standard error, and signals that say that the time is up."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

TRY_AGAIN = 75
"""EX_TEMPFAIL of sysexits.h: the same command goes on where it was."""
STOPS = (signal.SIGTERM, signal.SIGUSR1)
"""With these a machine says that the time is up."""
STOP_PATIENCE, STOP_AGAIN = 10.0, 0.01  # seconds


class _Stopped(BaseException):
    """The time is up."""


def fail(code: int, message: str) -> None:
    """Say what is wrong, and exit."""
    print(f"fluxeq: {message}", file=sys.stderr)
    sys.exit(code)


def leave(code: int, message: str) -> None:
    """Fail without waiting for threads that still compute: what they make is nowhere yet."""
    print(f"fluxeq: {message}", file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@contextmanager
def stoppable() -> Iterator[None]:
    """Stop what runs here when the time is up, as Ctrl-C would: files are whole or not there, processes end."""
    stopped = False
    report = sys.unraisablehook

    def stop(number: int, frame: "FrameType | None") -> None:
        """A signal has come: raise, and hear no other meanwhile."""
        nonlocal stopped
        stopped = True
        for each in STOPS:
            signal.signal(each, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, STOP_PATIENCE)  # once more, for code that catches everything
        raise _Stopped

    def lost(unraisable: "sys.UnraisableHookArgs") -> None:
        """Python is about to print an exception and forget it."""
        if isinstance(unraisable.exc_value, _Stopped):  # it came while a destructor or the like was running
            signal.setitimer(signal.ITIMER_REAL, STOP_AGAIN)
        else:
            report(unraisable)

    before = {number: signal.signal(number, stop) for number in (*STOPS, signal.SIGALRM)}
    sys.unraisablehook = lost
    try:
        yield
    except BaseException:
        if stopped:  # whatever it has become on its way
            leave(TRY_AGAIN, "time is up; the same command goes on where it was")
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = report
        for number, handler in before.items():
            signal.signal(number, handler)
