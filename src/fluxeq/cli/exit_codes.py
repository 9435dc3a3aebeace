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

from fluxeq.errors import ClusterLostError, InputError, bug_message
from fluxeq.system.environment import debugging
from fluxeq.system.files import remove_own_temporary

if TYPE_CHECKING:
    from types import FrameType

FAILED, WRONG, TRY_AGAIN, INTERRUPTED = 1, 2, 75, 130
RESUME_HINT = "run the same command again to resume"


class Stop(NamedTuple):
    """How a command ends on a signal."""

    code: int
    message: str
    patience: float
    """Grace period in seconds for an orderly exit."""


SIGNALS = {
    signal.SIGINT: Stop(INTERRUPTED, f"stopped; {RESUME_HINT}", 0.7),
    signal.SIGTERM: Stop(TRY_AGAIN, f"terminated; {RESUME_HINT}", 5.0),
}
if hasattr(signal, "SIGUSR1"):  # not on Windows; nor are the features below
    SIGNALS[signal.SIGUSR1] = SIGNALS[signal.SIGTERM]
HAS_TIMERS, HAS_PIPES = hasattr(signal, "setitimer"), os.name != "nt"
"""Whether a swallowed exception can be raised again, and whether a thread can be notified of signals."""
PLACES = {
    getattr(errno, name)
    for name in ("ENOENT", "ENOTDIR", "EISDIR", "ENAMETOOLONG", "EACCES", "EPERM", "EROFS", "ELOOP", "ENXIO")
}
"""Error numbers that indicate a bad path given by the user."""
_leaving = threading.Lock()
RERAISE_DELAY = 0.01  # seconds until the exception is raised again, if a destructor swallowed it


class _Stopped(BaseException):
    """A signal was received."""


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Run a command in the main thread; if it fails, exit with the code from the table above."""
    try:
        with handle_signals():
            yield
            sys.stdout.flush()
            _flush(sys.stderr)
    except Exception as error:
        if debugging():
            traceback.print_exc()
        _exit(*_code_and_message(error))


def _code_and_message(error: Exception) -> tuple[int, str]:
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
        return WRONG if error.errno in PLACES else FAILED, _system_message(error)
    return FAILED, f"{bug_message(error)}, with the traceback from FLUXEQ_DEBUG=1"


def _system_message(error: OSError) -> str:
    """The message for an error of the operating system, with the way out."""
    place = f"{error.filename}: " if error.filename else ""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{place}{reason}; free some space, then {RESUME_HINT}"
    return f"{place}{reason}{'; choose another place' if error.errno in PLACES else ''}"


def _exit(code: int, message: str) -> NoReturn:
    """Print the message and exit; without waiting for threads that are still computing."""
    _print_error(message)
    _flush(sys.stdout)
    _flush(sys.stderr)
    if any(not thread.daemon and thread is not threading.main_thread() for thread in threading.enumerate()):
        os._exit(code)
    sys.exit(code)


def _flush(stream: TextIO) -> None:
    """Flush a stream; if that fails, redirect it to /dev/null, lest Python's shutdown change the exit code."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _print_error(message: str) -> None:
    with suppress(OSError):
        print("fluxeq:", " ".join(message.split()), file=sys.stderr, flush=True)


def exit_now(stop: Stop) -> NoReturn:
    """Print that the command was stopped, and exit without waiting for running computations."""
    if not _leaving.acquire(blocking=False):
        time.sleep(stop.patience)  # another thread is already exiting
    remove_own_temporary()
    if sys.stderr.isatty():
        with suppress(OSError):
            print("\r\x1b[K\x1b[?25h", end="", file=sys.stderr)  # a progress bar may have hidden the cursor
    _print_error(stop.message)
    with suppress(OSError):
        sys.stdout.flush()
    os._exit(stop.code)


@contextmanager
def handle_signals() -> Iterator[None]:
    """Stop the block when a signal in ``SIGNALS`` arrives: no partial files are left, worker processes end."""
    first: list[Stop] = []
    before: dict[int, Any] = {}
    report = sys.unraisablehook
    heard = (*SIGNALS, signal.SIGALRM) if HAS_TIMERS else tuple(SIGNALS)

    def stop(number: int, frame: "FrameType | None") -> None:
        """Handle a signal: raise in the main thread and ignore further signals."""
        if number in SIGNALS:
            first.append(SIGNALS[signal.Signals(number)])
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise _Stopped

    def lost(unraisable: "sys.UnraisableHookArgs") -> None:
        """Handle an exception that Python would print and discard."""
        # raised while a destructor or similar was running
        if isinstance(unraisable.exc_value, _Stopped) and HAS_TIMERS:
            signal.setitimer(signal.ITIMER_REAL, RERAISE_DELAY)
        else:
            report(unraisable)

    try:
        with _exit_after_grace_period():  # first, so that a signal counts even if its exception is lost
            sys.unraisablehook = lost
            before |= {number: signal.signal(number, stop) for number in heard}
            yield
    except BaseException:
        if first:  # whatever exception it was turned into
            exit_now(first[0])
        raise
    finally:
        if HAS_TIMERS:
            signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = report
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _exit_after_grace_period() -> Iterator[None]:
    """Exit if the main thread, which may be in compiled code, has not done so within the grace period of a signal."""
    if not HAS_PIPES:
        yield
        return
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    before = signal.set_wakeup_fd(tell, warn_on_full_buffer=False)

    def watch() -> None:
        while numbers := os.read(told, 1):
            if stop := {int(number): stop for number, stop in SIGNALS.items()}.get(numbers[0]):
                time.sleep(stop.patience)
                exit_now(stop)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(tell)  # which ends the thread
