"""A process that starts commands: ``python -m verification.faults.server FD [light]``.

Each command is a child process. A fresh one starts a new interpreter, as a shell would. A forked one inherits
the modules that are imported here, which saves the seconds of the imports; then it runs ``fluxeq`` as usual. No thread
has been started before a fork, and JAX has not looked for devices. Forked commands ignore variables that Python and
libraries read at start-up, and exit without tearing down the interpreter, which takes longer than most of them.

If this process can bypass file permissions, as root can, the commands cannot: they meet what ordinary users meet.
"""

import atexit
import ctypes
import gc
import json
import os
import resource
import signal
import socket
import sys
import threading
from importlib import import_module
from types import ModuleType
from typing import Any, NoReturn

MODULES = (
    "fluxeq.__main__",
    "fluxeq.cli.commands",
    "fluxeq.data.checkpoints",
    "fluxeq.data.measurement",
    "fluxeq.report.figures.registry",
    "fluxeq.report.figures.diagnostics",
    "fluxeq.searching.results",
    "fluxeq.searching.search",
    "fluxeq.searching.storage",
    "fluxeq.report.page",
    "fluxeq.runs.reproduce",
    "fluxeq.runs.training",
    "fluxeq.runs.partial_report",
    "fluxeq.training.evaluation",
    "fluxeq.training.instances",
    "pyerrors",
    "rich.progress",
)
"""Modules that commands import."""
PERMISSIONS = (1, 2)  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: bypass file permissions
PR_CAPBSET_DROP, CAPABILITY_VERSION = 24, 0x20080522


def serve(line: socket.socket) -> dict[str, Any] | None:
    """Start commands until the other side has closed the socket; in the process of a command, return its order."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # attendants are not waited for
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # shells start background jobs with SIGINT ignored
    gc.freeze()
    while True:
        message, given, *_ = socket.recv_fds(line, 1, 5)
        if not message:
            return None
        if os.fork() == 0:
            line.close()
            return _attend(*given)
        for fd in given:
            os.close(fd)


def _attend(order: int, stdin: int, stdout: int, stderr: int, report: int) -> dict[str, Any]:
    """Start one command, report its process ID, wait for it, and report its exit code and its peak memory."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    command = os.fork()
    if command == 0:
        os.close(report)
        with open(order, encoding="utf-8") as file:
            content = json.load(file)
        for place, fd in enumerate((stdin, stdout, stderr)):
            os.dup2(fd, place)
            os.close(fd)
        return content
    for fd in (order, stdin, stdout, stderr):
        os.close(fd)
    os.write(report, f"{command}\n".encode())
    _, status, usage = os.wait4(command, 0)
    os.write(report, f"{os.waitstatus_to_exitcode(status)} {usage.ru_maxrss * 1024}\n".encode())
    os._exit(0)


def _become(order: dict[str, Any]) -> None:
    """Turn this process into the command, up to its start."""
    os.setsid()
    _heed_permissions()
    os.chdir(order["folder"])
    for number, most in order["limits"].items():
        resource.setrlimit(int(number), (most, most))
    for fd in order["closed"]:
        os.close(fd)
    if order["fresh"]:
        os.execve(sys.executable, [sys.executable, *order["start"], *order["words"]], order["environment"])
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # an interrupt before the start is not handled by the command
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.argv = ["fluxeq", *order["words"]]
    sys.modules["__main__"] = ModuleType("__main__")  # which worker processes would import again
    for place, name in enumerate(("stdin", "stdout", "stderr")):
        mode, errors = ("r", "w", "w")[place], ("strict", "strict", "backslashreplace")[place]
        setattr(sys, name, os.fdopen(place, mode, 1 if place == 2 else -1, errors=errors))


def _run() -> int:
    """Run the command; returns its exit code."""
    from fluxeq.__main__ import main

    try:
        main()
    except SystemExit as stopped:
        return stopped.code if isinstance(stopped.code, int) else int(stopped.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def _end(code: int) -> NoReturn:
    """Exit like the interpreter, but without tearing down modules: join threads, run exit handlers, flush streams."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            code = 120
    os._exit(code)


def _heed_permissions() -> None:
    """Give up the right to bypass file permissions, here and in programs executed from here."""
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()
    libc.capget(header, data)
    for capability in PERMISSIONS:
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
        for i in range(3):  # effective, permitted, inheritable
            data[i] &= ~(1 << capability)
    if libc.capset(header, data):
        raise OSError(ctypes.get_errno(), "capset")


def _warm_up() -> None:
    """Import the modules of commands, and load the compiled moves."""
    for name in MODULES:
        import_module(name)
    import fluxeq

    fluxeq.sample(fluxeq.Theory(4.01, 1.0, 1.5), (2, 2), 4)


if __name__ == "__main__":
    if "light" not in sys.argv:
        _warm_up()
    with socket.socket(fileno=int(sys.argv[1])) as line:
        line.send(b".")
        order = serve(line)
    if order is not None:
        _become(order)
        _end(_run())
