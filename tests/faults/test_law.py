"""The rules for commands, with controls: violations must be detected."""

import os
import signal
from dataclasses import replace

import pytest

from verification.faults.commands import Order, Server
from verification.faults.contents import contents, differences
from verification.faults.law import MEMORY, leftovers, offences
from verification.faults.trial import environment

IMPATIENT = 0.1  # of the usual time limits
START = "import os, signal, sys, time, warnings"
BAD = {
    "a traceback": ("raise ValueError('no')", "said 'ValueError: no'"),
    "a traceback, and code 0": ("import traceback; traceback.print_exception(ValueError('no'))", "said 'ValueError"),
    "a warning": ("warnings.warn('careful')", "UserWarning"),
    "another code": ("print('fluxeq: no', file=sys.stderr); sys.exit(3)", "exit code 3"),
    "an error without a word": ("sys.exit(2)", "code 2 without a line"),
    "an error in another word": ("sys.exit('no: no')", "code 1 without a line"),
    "an error in two lines": ("print('fluxeq: no,\\nreally', file=sys.stderr); sys.exit(2)", "said 'really'"),
    "a fault that nobody foresaw": (
        "print('fluxeq: a bug in fluxeq: x', file=sys.stderr); sys.exit(1)",
        "a bug in",
    ),
    "silence": ("time.sleep(30)", "1 s without a word"),
    "silence after a word": ("print('so far', flush=True); time.sleep(30)", "1 s without a word"),
    "a segmentation fault": ("os.kill(os.getpid(), signal.SIGSEGV)", "died of SIGSEGV"),
    "an abort": ("os.abort()", "died of SIGABRT"),
    "a process left behind": (
        "import subprocess; subprocess.Popen(['sleep', '30'], stdout=-3, stderr=-3); ",
        "left processes behind",
    ),
    "a file left behind": ("open('.e.12345678.unfinished.h5', 'w')", "left .e.12345678.unfinished.h5 behind"),
    "deafness": (
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: print('on: 1', flush=True); time.sleep(0.1)",
        "after SIGINT",
    ),
}
HASTY = ("silence", "silence after a word", "deafness", "a process left behind")
GOOD = {
    "success": "print('done')",
    "an error": "print('fluxeq: chains = 0: must be an integer of at least 1', file=sys.stderr); sys.exit(2)",
    "progress before an error": "print('sampling: 1 of 2\\nfluxeq: no', file=sys.stderr); sys.exit(1)",
    "Ctrl-C": "try: signal.pause()\nexcept KeyboardInterrupt: print('fluxeq: stopped', file=sys.stderr); sys.exit(130)",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server({**os.environ, **environment(tmp_path_factory.mktemp("home"))}, light=True) as server:
        yield server


def outcome_of(server, folder, program, **settings):
    start = ("-c", START + "\n" + program)
    return server.run(Order((), folder, environment(folder), start=start, fresh=True, **settings))


@pytest.mark.parametrize("name", BAD)
def test_what_breaks_the_law_is_found_out(server, tmp_path, name):
    program, offence = BAD[name]
    interrupt = (signal.SIGINT, 1.5) if name == "deafness" else None
    slack = IMPATIENT if name in HASTY else 1.0
    outcome = outcome_of(server, tmp_path, program, slack=slack, signal=interrupt)
    found = [*offences(outcome, slack), *leftovers(tmp_path)]
    assert any(offence in line for line in found), (found, outcome)


@pytest.mark.parametrize("name", GOOD)
def test_what_keeps_the_law_passes(server, tmp_path, name):
    interrupt = (signal.SIGINT, 1.5) if name == "Ctrl-C" else None
    outcome = outcome_of(server, tmp_path, GOOD[name], signal=interrupt)
    assert not list(offences(outcome)), outcome


def test_memory(server, tmp_path):
    outcome = outcome_of(server, tmp_path, "kept = b'x' * 2**28; print(len(kept))")
    assert 2**28 < outcome.peak < MEMORY
    assert not list(offences(outcome))
    assert list(offences(replace(outcome, peak=MEMORY + 1))) == ["took 2.0 GiB"]


def test_other_numbers_are_found_out(tmp_path):
    for name, text in (("one", "1.0\n"), ("two", "1.0\n"), ("three", "1.5\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "p.csv").write_text(text)
    one, two, three = (contents(tmp_path / name) for name in ("one", "two", "three"))
    assert not list(differences(one, two))
    assert list(differences(one, three)) == ["p.csv is another"]
    assert list(differences(one, {})) == ["p.csv is another"]
