"""Exit codes and signal handling: a command that fails prints one line on standard error.

    0    done
    1    not possible here: full disk, too little memory, precision goal missed, bug in fluxeq
    2    invalid input; the line gives the value, the rule and the way out
    75   stopped by SIGTERM, SIGUSR1 or loss of the cluster; the same command resumes (EX_TEMPFAIL in sysexits.h)
    130  stopped by Ctrl-C; the same command resumes

A signal raises an exception in the main thread. If that thread is in compiled code, which may run for minutes, a
watcher thread ends the process after a short grace period.
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
GO_ON = "run the same command again to resume"


class Stop(NamedTuple):
    """How a command ends on a signal."""

    code: int
    message: str
    patience: float
    """Grace period in seconds for an orderly exit."""


STOPS = {
    signal.SIGINT: Stop(INTERRUPTED, f"stopped; {GO_ON}", 0.7),
    signal.SIGTERM: Stop(TRY_AGAIN, f"terminated; {GO_ON}", 5.0),
}
if hasattr(signal, "SIGUSR1"):  # not on Windows; nor are the features below
    STOPS[signal.SIGUSR1] = STOPS[signal.SIGTERM]
HAS_TIMERS, HAS_PIPES = hasattr(signal, "setitimer"), os.name != "nt"
"""Whether a swallowed exception can be raised again, and whether a thread can be notified of signals."""
PLACES = {
    getattr(errno, name)
    for name in ("ENOENT", "ENOTDIR", "EISDIR", "ENAMETOOLONG", "EACCES", "EPERM", "EROFS", "ELOOP", "ENXIO")
}
"""Error numbers that indicate a bad path given by the user."""
_leaving = threading.Lock()
AGAIN = 0.01  # seconds until the exception is raised again, if a destructor swallowed it


class _Stopped(BaseException):
    """A signal was received."""


@contextmanager
def ended_well() -> Iterator[None]:
    """Run a command in the main thread; if it fails, exit with the code from the table above."""
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
    """The exit code and the message for an exception."""
    if isinstance(error, InputError) or type(error).__module__.startswith("cyclopts"):
        return WRONG, str(error)
    if isinstance(error, ClusterLostError):
        return TRY_AGAIN, str(error)
    if type(error).__module__ == ClusterLostError.__module__:
        return FAILED, str(error)
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):  # the latter from XLA
        return FAILED, f"out of memory ({error}); use a smaller lattice, a smaller network or fewer chains"
    if isinstance(error, BrokenPipeError):
        return FAILED, "the output pipe was closed"
    if isinstance(error, OSError):
        return WRONG if error.errno in PLACES else FAILED, _told_of_system(error)
    return FAILED, f"{as_fault(error)}, with the traceback from FLUXEQ_DEBUG=1"


def _told_of_system(error: OSError) -> str:
    """The message for an error of the operating system, with the way out."""
    place = f"{error.filename}: " if error.filename else ""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{place}{reason}; free some space, then {GO_ON}"
    return f"{place}{reason}{'; choose another place' if error.errno in PLACES else ''}"


def _end(code: int, message: str) -> NoReturn:
    """Print the message and exit; without waiting for threads that are still computing."""
    _say(message)
    _settle(sys.stdout)
    _settle(sys.stderr)
    if any(not thread.daemon and thread is not threading.main_thread() for thread in threading.enumerate()):
        os._exit(code)
    sys.exit(code)


def _settle(stream: TextIO) -> None:
    """Flush a stream; if that fails, redirect it to /dev/null, lest Python's shutdown change the exit code."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _say(message: str) -> None:
    with suppress(OSError):
        print("fluxeq:", " ".join(message.split()), file=sys.stderr, flush=True)


def leave(stop: Stop) -> NoReturn:
    """Print that the command was stopped, and exit without waiting for running computations."""
    if not _leaving.acquire(blocking=False):
        time.sleep(stop.patience)  # another thread is already exiting
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
    """Stop the block when a signal in ``STOPS`` arrives: no partial files are left, worker processes end."""
    first: list[Stop] = []
    before: dict[int, Any] = {}
    report = sys.unraisablehook
    heard = (*STOPS, signal.SIGALRM) if HAS_TIMERS else tuple(STOPS)

    def stop(number: int, frame: "FrameType | None") -> None:
        """Handle a signal: raise in the main thread and ignore further signals."""
        if number in STOPS:
            first.append(STOPS[signal.Signals(number)])
        for each in STOPS:
            signal.signal(each, signal.SIG_IGN)
        raise _Stopped

    def lost(unraisable: "sys.UnraisableHookArgs") -> None:
        """Handle an exception that Python would print and discard."""
        # raised while a destructor or similar was running
        if isinstance(unraisable.exc_value, _Stopped) and HAS_TIMERS:
            signal.setitimer(signal.ITIMER_REAL, AGAIN)
        else:
            report(unraisable)

    try:
        with _ended_after_patience():  # first, so that a signal counts even if its exception is lost
            sys.unraisablehook = lost
            before |= {number: signal.signal(number, stop) for number in heard}
            yield
    except BaseException:
        if first:  # whatever exception it was turned into
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
    """Exit if the main thread, which may be in compiled code, has not done so within the grace period of a signal."""
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
