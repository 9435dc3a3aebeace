"""How a command ends: with an exit code and, unless that is 0, one line on standard error.

    0    done
    1    it could not be done here: a full disk, too little memory, a goal that was missed, a fault of ours
    2    the user got something wrong; the line says what, the rule and the way out
    75   cut off by SIGTERM, SIGUSR1 or the loss of a cluster; the same command goes on (EX_TEMPFAIL of sysexits.h)
    130  stopped by Ctrl-C; the same command goes on

A signal raises an exception in the main thread. If that is in compiled code, which may run for minutes, a thread of its
own ends the process after a short patience.
"""

import errno
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TextIO

from fluxeq.errors import ClusterLostError, InputError, as_fault
from fluxeq.system.environment import debugging
from fluxeq.system.files import remove_own_unfinished

if TYPE_CHECKING:
    from types import FrameType

FAILED, WRONG, TRY_AGAIN, INTERRUPTED = 1, 2, 75, 130
GO_ON = "the same command goes on where it was"


class Stop(NamedTuple):
    """What a signal ends a command with."""

    code: int
    message: str
    patience: float
    """Seconds for an orderly end."""


STOPS = {
    signal.SIGINT: Stop(INTERRUPTED, f"stopped; {GO_ON}", 0.7),
    signal.SIGTERM: Stop(TRY_AGAIN, f"time is up; {GO_ON}", 5.0),
}
if hasattr(signal, "SIGUSR1"):  # not on Windows, as all that is asked for below
    STOPS[signal.SIGUSR1] = STOPS[signal.SIGTERM]
HAS_TIMERS, HAS_PIPES = hasattr(signal, "setitimer"), os.name != "nt"
"""Whether a lost exception can be raised again, and a thread can hear of signals."""
PLACES = {
    getattr(errno, name)
    for name in ("ENOENT", "ENOTDIR", "EISDIR", "ENAMETOOLONG", "EACCES", "EPERM", "EROFS", "ELOOP", "ENXIO")
}
"""What the system says of a place that the user should not have named."""
_leaving = threading.Lock()
AGAIN = 0.01  # seconds until the exception is raised once more, if it was lost in a destructor


class _Stopped(BaseException):
    """A signal has come."""


@contextmanager
def ended_well() -> Iterator[None]:
    """Run a command in the main thread, and end the process as the table above says, unless the command succeeds."""
    try:
        with stoppable():
            yield
            sys.stdout.flush()
            _settle(sys.stderr)
    except Exception as error:
        if debugging():
            traceback.print_exc()
        _end(*_told(error))


def _told(error: Exception) -> tuple[int, str]:
    """The exit code and the line for an exception."""
    if isinstance(error, InputError) or type(error).__module__.startswith("cyclopts"):
        return WRONG, str(error)
    if isinstance(error, ClusterLostError):
        return TRY_AGAIN, str(error)
    if type(error).__module__ == ClusterLostError.__module__:
        return FAILED, str(error)
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):  # the latter is XLA's
        return FAILED, f"out of memory ({error}); a smaller lattice, network or number of chains needs less"
    if isinstance(error, BrokenPipeError):
        return FAILED, "nobody reads the output any more"
    if isinstance(error, OSError):
        return WRONG if error.errno in PLACES else FAILED, _told_of_system(error)
    return FAILED, f"{as_fault(error)}, with what FLUXEQ_DEBUG=1 shows"


def _told_of_system(error: OSError) -> str:
    """What the system refused, and the way out."""
    place = f"{error.filename}: " if error.filename else ""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{place}{reason}; make room, and {GO_ON}"
    return f"{place}{reason}{'; choose another place' if error.errno in PLACES else ''}"


def _end(code: int, message: str) -> NoReturn:
    """Say what is wrong, and exit; at once, if threads still compute what nobody wants any more."""
    _say(message)
    _settle(sys.stdout)
    _settle(sys.stderr)
    if any(not thread.daemon and thread is not threading.main_thread() for thread in threading.enumerate()):
        os._exit(code)
    sys.exit(code)


def _settle(stream: TextIO) -> None:
    """Flush a stream; what nobody takes goes to nothing, lest Python fails on its way out with a code of its own."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _say(message: str) -> None:
    with suppress(OSError):
        print("fluxeq:", " ".join(message.split()), file=sys.stderr, flush=True)


def leave(stop: Stop) -> NoReturn:
    """Say that the command was stopped, and exit without waiting for what still computes: it is nowhere yet."""
    if not _leaving.acquire(blocking=False):
        time.sleep(stop.patience)  # another thread is on its way out
    remove_own_unfinished()
    if sys.stderr.isatty():
        with suppress(OSError):
            print("\r\x1b[K\x1b[?25h", end="", file=sys.stderr)  # a progress bar may have hidden the cursor
    _say(stop.message)
    with suppress(OSError):
        sys.stdout.flush()
    os._exit(stop.code)


@contextmanager
def stoppable() -> Iterator[None]:
    """Stop what runs here when a signal of ``STOPS`` comes: files are whole or not there, processes end."""
    first: list[Stop] = []
    before: dict[int, Any] = {}
    report = sys.unraisablehook
    heard = (*STOPS, signal.SIGALRM) if HAS_TIMERS else tuple(STOPS)

    def stop(number: int, frame: "FrameType | None") -> None:
        """A signal has come: raise in the main thread, and hear no other meanwhile."""
        if number in STOPS:
            first.append(STOPS[signal.Signals(number)])
        for each in STOPS:
            signal.signal(each, signal.SIG_IGN)
        raise _Stopped

    def lost(unraisable: "sys.UnraisableHookArgs") -> None:
        """Python is about to print an exception and forget it."""
        # it came while a destructor or the like was running
        if isinstance(unraisable.exc_value, _Stopped) and HAS_TIMERS:
            signal.setitimer(signal.ITIMER_REAL, AGAIN)
        else:
            report(unraisable)

    try:
        with _ended_after_patience():  # first, so that a signal is heard even if its exception is lost
            sys.unraisablehook = lost
            before |= {number: signal.signal(number, stop) for number in heard}
            yield
    except BaseException:
        if first:  # whatever it has become on its way
            leave(first[0])
        raise
    finally:
        if HAS_TIMERS:
            signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = report
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _ended_after_patience() -> Iterator[None]:
    """Leave when a signal has come and the main thread, which may be in compiled code, has not left in time."""
    if not HAS_PIPES:
        yield
        return
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    before = signal.set_wakeup_fd(tell, warn_on_full_buffer=False)

    def watch() -> None:
        while numbers := os.read(told, 1):
            if stop := {int(number): stop for number, stop in STOPS.items()}.get(numbers[0]):
                time.sleep(stop.patience)
                leave(stop)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(tell)  # which ends the thread
