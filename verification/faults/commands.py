"""Supervised commands: started through the server, with given streams, limits and signals, until they exit."""

import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from verification.faults.law import REACTION, SILENCE, Outcome

START = ("-m", "fluxeq")
ADDRESSES = 6 * 2**30
"""Address space of a command in bytes, so that no case exhausts the machine."""
LONGEST = 20.0
"""Seconds after which a command that produces output, but does not end, is interrupted as by Ctrl-C."""


@dataclass(frozen=True)
class Order:
    """Everything needed to start a command."""

    words: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]
    start: Sequence[str] = START
    """Arguments of the interpreter of a fresh command."""
    fresh: bool = False
    """In a new interpreter; otherwise in a fork of the server."""
    closed: tuple[int, ...] = ()
    """Closed streams."""
    streams: Mapping[int, Any] = field(default_factory=dict)
    """Files in place of the null device and of the two pipes."""
    limits: Mapping[int, int] = field(default_factory=dict)
    terminal: tuple[int, int] | None = None
    """All streams are a terminal with this number of rows and columns."""
    signal: tuple[int, float] | None = None
    """A signal to send, and the delay in seconds after the start."""
    longest: float = LONGEST
    slack: float = 1.0
    """Factor on the limits of silence and reaction."""

    @property
    def is_heard(self) -> bool:
        """Whether its standard error is read."""
        return 2 not in self.closed and 2 not in self.streams


class Server:
    """The process that starts commands; end it with ``with``."""

    def __init__(self, environment: Mapping[str, str], *, light: bool = False) -> None:
        """A light one imports nothing, and starts fresh commands only."""
        self._line, there = socket.socketpair()
        command = [sys.executable, "-m", "verification.faults.server", str(there.fileno())]
        command += ["light"] if light else []
        self._process = subprocess.Popen(command, env=environment, pass_fds=[there.fileno()], start_new_session=True)
        there.close()
        if not self._line.recv(1):
            raise RuntimeError("the server did not start")
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._line.close()
        self._process.wait()

    def start(self, order: Order, streams: Sequence[int], report: int) -> None:
        """Start a command."""
        limits = {resource.RLIMIT_AS: ADDRESSES, resource.RLIMIT_CORE: 0} | dict(order.limits)
        content = {
            "words": order.words,
            "folder": str(order.folder),
            "environment": dict(order.environment),
            "fresh": order.fresh,
            "start": order.start,
            "closed": order.closed,
            "limits": limits,
        }
        with tempfile.TemporaryFile("w+") as file:
            json.dump(content, file)
            file.flush()
            file.seek(0)
            with self._lock:
                try:
                    socket.send_fds(self._line, [b"."], [file.fileno(), *streams, report])
                except OSError:
                    raise RuntimeError(f"the server has ended with code {self._process.wait()}") from None

    def run(self, order: Order) -> Outcome:
        """Start a command and watch it to its end."""
        return Watch(self, order).to_the_end()


class Watch:
    """A running command: its output, and how long it is silent."""

    def __init__(self, server: Server, order: Order) -> None:
        self.order = order
        self._said = {1: b"", 2: b""}
        self._report = b""
        self._sent: int | None = None
        self._sent_at = 0.0
        self._pipes: dict[int, int] = {}  # our descriptor: the stream
        ends = self._terminal(*order.terminal) if order.terminal else self._ends()
        self._reports, theirs = os.pipe()
        self.began = self._heard = time.monotonic()
        self.silence = 0.0
        server.start(order, ends, theirs)
        for fd in {*ends, theirs} - set(order.streams.values()):
            os.close(fd)

    def _ends(self) -> list[int]:
        """The command's ends of the three streams; ours are added to ``_pipes``."""
        ends = [os.open(os.devnull, os.O_RDONLY)]
        for place in (1, 2):
            ours, theirs = os.pipe()
            self._pipes[ours] = place
            ends.append(theirs)
        for place, fd in self.order.streams.items():
            os.close(ends[place])
            ends[place] = fd
        return ends

    def _terminal(self, rows: int, columns: int) -> list[int]:
        """The same, with one terminal for all three."""
        ours, theirs = os.openpty()
        termios.tcsetwinsize(theirs, (rows, columns))
        self._pipes[ours] = 1
        return [theirs] * 3

    @property
    def process(self) -> int | None:
        """The process ID, which is also that of its process group."""
        first = self._report.split(b"\n")[0]
        return int(first) if first else None

    @property
    def said(self) -> str:
        """Its output so far on both streams."""
        return b"".join(self._said.values()).decode(errors="replace")

    def to_the_end(self) -> Outcome:
        """Watch it until it has ended, and stop it if it does not end."""
        while not self.has_ended:
            self.look(0.05)
            self._keep_time()
        return self._outcome()

    @property
    def has_ended(self) -> bool:
        """Whether the report is complete."""
        return self._report.count(b"\n") == 2

    def look(self, patience: float) -> None:
        """Read its output, waiting at most ``patience`` seconds."""
        ready, _, _ = select.select([*self._pipes, self._reports], [], [], patience)
        for fd in ready:
            text = _read(fd)
            if fd == self._reports:
                self._report += text
                if not text and not self.has_ended:
                    raise RuntimeError("the server lost a command")
            elif text:
                self._said[self._pipes[fd]] += text
                self._hear()
            else:
                os.close(fd)
                del self._pipes[fd]

    def send(self, number: int) -> None:
        """Send it a signal; SIGINT, as from a terminal, and SIGKILL go to the whole process group."""
        if self.process is None:
            return
        self._sent, self._sent_at = number, time.monotonic()
        with suppress(ProcessLookupError):
            (os.killpg if number in (signal.SIGINT, signal.SIGKILL) else os.kill)(self.process, number)

    def _hear(self) -> None:
        now = time.monotonic()
        self.silence, self._heard = max(self.silence, now - self._heard), now

    def _keep_time(self) -> None:
        """Send the signal when it is due, interrupt what takes too long, and kill what is silent or does not react."""
        now = time.monotonic()
        if self._sent is None and self.order.signal and now - self.began >= self.order.signal[1]:
            self.send(self.order.signal[0])
        if self._sent is None and now - self.began > self.order.longest:
            self.send(signal.SIGINT)
        is_deaf = self._sent is not None and now - self._sent_at > self.order.slack * (REACTION + 2)
        is_silent = self.order.is_heard and now - self._heard > self.order.slack * SILENCE
        if (is_silent or is_deaf) and self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process, signal.SIGKILL)

    def _outcome(self) -> Outcome:
        ended = time.monotonic()
        self._hear()
        while self._pipes and select.select([*self._pipes], [], [], 0)[0]:  # remaining output
            self.look(0)
        for fd in (*self._pipes, self._reports):
            os.close(fd)
        code, peak = map(int, self._report.split(b"\n")[1].split())
        out, err = (self._said[place].decode(errors="replace") for place in (1, 2))
        reaction = ended - self._sent_at if self._sent else 0.0
        seconds = ended - self.began
        is_alone = self._is_alone()
        return Outcome(
            self.order.words,
            code,
            out,
            err,
            seconds,
            self.silence,
            peak,
            self._sent,
            reaction,
            is_alone,
            self.order.is_heard,
            self.order.is_heard and not self.order.terminal,
        )

    def _is_alone(self) -> bool:
        """Whether no process of the group is left, after some seconds; those left are killed."""
        assert self.process is not None
        for _ in range(round(self.order.slack * 200)):
            try:
                os.killpg(self.process, 0)
            except ProcessLookupError:
                return True
            time.sleep(0.05)
        with suppress(ProcessLookupError):
            os.killpg(self.process, signal.SIGKILL)
        return False


def _read(fd: int) -> bytes:
    """The available input; empty at the end."""
    try:
        return os.read(fd, 2**16)
    except OSError:  # a terminal closed on the other side
        return b""
