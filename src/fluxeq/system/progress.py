"""Progress on standard error: a bar on a terminal, plain lines elsewhere."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

Advance = Callable[..., None]
"""Called with the number done, the total and optionally a remark and the seconds left (default: from the rate)."""

MIN_INTERVAL, MAX_SILENCE = 2.0, 5.0
"""Minimum seconds between two lines, except for the last, and maximum, after which the last one is repeated."""
INTERVAL_SHARE, MAX_INTERVAL = 0.1, 60.0
"""Long work has fewer lines: their spacing is this fraction of the elapsed time, at most so many seconds."""
MIN_ELAPSED = 3.0
"""Seconds before a rate is estimated."""


def progress(title: str) -> AbstractContextManager[Advance]:
    """Show the progress of a block and the estimated time left."""
    is_terminal = sys.stderr.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown", "")
    return _bar(title) if is_terminal else _lines(title)


class Rate:
    """Estimates the time left from the rate since the first call; items that were done before do not count."""

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None

    def seconds_left(self, done: float, total: float) -> float | None:
        """Seconds left; None while there is no estimate."""
        now = time.monotonic()
        if self._first is None:
            self._first = now, done
        begun, before = self._first
        if done <= before or now - begun < MIN_ELAPSED:
            return None
        return (total - done) * (now - begun) / (done - before)


def duration(seconds: float) -> str:
    """Format a duration, as in 50 s, 4 min, 1 h 05 min."""
    if seconds < 99:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


@contextmanager
def repeated(call: Callable[[], None], seconds: float) -> Iterator[None]:
    """Call a function regularly in another thread while the block runs."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(seconds):
            call()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def _bar(title: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Column

    columns = (
        TextColumn(title),
        BarColumn(bar_width=10),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True)),
    )
    rate = Rate()
    with Progress(*columns, console=Console(stderr=True), expand=True, transient=True, redirect_stdout=False) as bar:
        row = bar.add_task("", total=None)

        def advance(done: int, total: int, remark: str = "", seconds_left: float | None = None) -> None:
            text = ", ".join(filter(None, (_left(rate, done, total, seconds_left), remark)))
            bar.update(row, completed=done, total=total, description=text)

        yield advance


@contextmanager
def _lines(title: str) -> Iterator[Advance]:
    begun = printed = time.monotonic()
    text, rate = "", Rate()

    def say() -> None:
        nonlocal printed
        printed = time.monotonic()
        told = ", ".join(filter(None, (text, f"after {duration(printed - begun)}")))
        with suppress(OSError, ValueError):  # the pipe may be closed
            print(f"{title}: {told}", file=sys.stderr, flush=True)

    def is_due(pause: float) -> bool:
        now = time.monotonic()
        return now - printed >= max(pause, min(INTERVAL_SHARE * (now - begun), MAX_INTERVAL))

    def advance(done: int, total: int, remark: str = "", seconds_left: float | None = None) -> None:
        """Print a line if it is due, and one at the end."""
        nonlocal text
        text = ", ".join(filter(None, (f"{done} of {total}", _left(rate, done, total, seconds_left), remark)))
        if is_due(MIN_INTERVAL) or done == total:
            say()

    def remind() -> None:
        if is_due(MAX_SILENCE):
            say()

    with repeated(remind, min(MAX_SILENCE, 1.0)):
        yield advance


def _left(rate: Rate, done: float, total: float, seconds_left: float | None) -> str:
    """The time left in words; empty if unknown or if everything is done."""
    by_rate = rate.seconds_left(done, total)
    seconds = by_rate if seconds_left is None else seconds_left
    return "" if seconds is None or done >= total else f"about {duration(seconds)} left"
