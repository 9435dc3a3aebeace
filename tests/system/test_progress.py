"""Progress: lines where no bar can be shown, and never a long silence."""

import os
import pty
import subprocess
import sys
import time

import pytest

from fluxeq.system import progress as shown


def test_lines(monkeypatch, capsys):
    """The first and the last, and the last one again, with the time, after a long silence."""
    monkeypatch.setattr(shown, "MAX_SILENCE", 0.1)
    with shown.progress("sampling") as advance:
        advance(1, 3, "pilot")
        time.sleep(1)
        advance(3, 3)
    first, *_, last = lines = capsys.readouterr().err.splitlines()
    assert first.startswith("sampling: 1 of 3, pilot, after ")
    assert last.startswith("sampling: 3 of 3, after ")
    assert len(lines) >= 3


@pytest.mark.parametrize(("shares", "fewest", "most"), [(0.0, 8, 21), (0.5, 3, 7)])
def test_the_longer_it_takes_the_fewer_lines(monkeypatch, capsys, shares, fewest, most):
    monkeypatch.setattr(shown, "MIN_INTERVAL", 0.05)
    monkeypatch.setattr(shown, "INTERVAL_SHARE", shares)
    with shown.progress("training") as advance:
        for done in range(100):
            advance(done, 200)
            time.sleep(0.01)
    assert fewest <= len(capsys.readouterr().err.splitlines()) <= most


def test_quick_work_says_nothing(capsys):
    with shown.progress("measuring"):
        pass
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("term", "is_bar"), [("xterm", True), ("dumb", False), ("", False)])
def test_a_bar_only_where_a_terminal_can_draw_one(term, is_bar):
    code = "from fluxeq.system.progress import progress\nwith progress('work') as advance: advance(2, 2, '[x]')"
    reader, writer = pty.openpty()
    subprocess.run([sys.executable, "-c", code], stderr=writer, env={**os.environ, "TERM": term}, check=True)
    found = os.read(reader, 10000)
    assert (b"\x1b" in found) is is_bar
    assert b"work" in found
    assert is_bar or found.startswith(b"work: 2 of 2, [x], after ")


def test_time_left(monkeypatch):
    """From the work done since the first call; unknown until some work has been observed."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    rate = shown.Rate()
    assert rate.seconds_left(500, 1000) is None  # the work done before the start took no time
    now += 1
    assert rate.seconds_left(510, 1000) is None
    now += 9
    assert rate.seconds_left(600, 1000) == pytest.approx(40)
    assert rate.seconds_left(500, 1000) is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.6, "60 s"), (100, "2 min"), (3570, "1 h 00 min"), (36000, "10 h 00 min")]
)
def test_durations(seconds, text):
    assert shown.duration(seconds) == text
