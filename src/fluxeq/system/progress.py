"""Signs of life on standard error while something works: a bar on a terminal, plain lines elsewhere."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

Advance = Callable[..., None]
"""Called with what is done, the total and, perhaps, a remark."""

SHORTEST = 2.0
"""Seconds between two lines, unless all is done."""
LONGEST = 5.0
"""Seconds without a line, after which the last one is repeated with the time."""


def progress(title: str) -> AbstractContextManager[Advance]:
    """Show how far the work of a block is, and that it goes on."""
    is_terminal = sys.stderr.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown", "")
    return _bar(title) if is_terminal else _lines(title)


@contextmanager
def _bar(title: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn(title),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
        row = bar.add_task("", total=None)
        yield lambda done, total, remark="": bar.update(row, completed=done, total=total, description=remark)


@contextmanager
def _lines(title: str) -> Iterator[Advance]:
    begun = printed = time.monotonic()
    text = ""
    ended = threading.Event()

    def say(more: str = "") -> None:
        nonlocal printed
        printed = time.monotonic()
        with suppress(OSError, ValueError):  # nobody may be reading
            print(f"{title}: {', '.join(filter(None, (text, more)))}", file=sys.stderr, flush=True)

    def advance(done: int, total: int, remark: str = "") -> None:
        """At most one line every two seconds, and one at the end."""
        nonlocal text
        text = f"{done} of {total} {remark}".rstrip()
        if time.monotonic() - printed > SHORTEST or done == total:
            say()

    def repeat() -> None:
        while not ended.wait(printed + LONGEST - time.monotonic()):
            if time.monotonic() - printed >= LONGEST:
                say(f"{time.monotonic() - begun:.0f} s")

    repeating = threading.Thread(target=repeat, daemon=True)
    repeating.start()
    try:
        yield advance
    finally:
        ended.set()
        repeating.join()
