"""How commands end: with one line on standard error and its exit code, and soon after a signal."""

import errno
import os
import signal
import subprocess
import sys
import time

import pytest

from fluxeq import errors
from fluxeq.cli.exit_codes import _code_and_message

RUN = """
import sys
from fluxeq.cli.exit_codes import exit_on_error
from fluxeq.system.environment import prepare
prepare()
with exit_on_error():
    {body}
"""


def ended(body, **options):
    """A process that runs this code in place of a command."""
    command = [sys.executable, "-c", RUN.format(body=body.replace("\n", "\n    "))]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **options)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (errors.InputError("a\n  line"), 2, "a\n  line"),
        (errors.ClusterLostError("gone"), 75, "gone"),
        (MemoryError("2 GiB"), 1, "out of memory (2 GiB)"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory"), 1, "out of memory (RESOURCE"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 1, "the output pipe was closed"),
        (OSError(errno.ENOSPC, "No space left on device", "e.h5"), 1, "e.h5: No space left on device; free some space"),
        (OSError(errno.EIO, "Input/output error", "e.h5"), 1, "e.h5: Input/output error"),
        (PermissionError(errno.EACCES, "Permission denied", "e.h5"), 2, "e.h5: Permission denied; choose another"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "e"), 2, "e: File name too long; choose another place"),
    ],
)
def test_every_error_has_a_code_and_a_line(error, code, line):
    found, told = _code_and_message(error)
    assert found == code
    assert told.startswith(line)


def test_a_fault_of_ours_is_one_line_that_says_where():
    done = ended("{}[1]")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("fluxeq: a bug in fluxeq: KeyError(1) in <string>:7; please report it")
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" in ended("{}[1]", env={**os.environ, "FLUXEQ_DEBUG": "1"}).stderr


def test_no_garbage_is_collected_at_the_end():
    code = "import atexit, gc\natexit.register(lambda: print(gc.get_freeze_count() > 0))"
    command = [sys.executable, "-c", f"{code}\nfrom fluxeq.__main__ import main\nmain()", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "True"


def test_threads_that_still_compute_are_not_waited_for():
    """Other chains need not finish once one of them has failed."""
    body = "import threading, time\nthreading.Thread(target=time.sleep, args=(50,)).start()\nraise MemoryError"
    begun = time.monotonic()
    assert ended(body).returncode == 1
    assert time.monotonic() - begun < 40


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_streams(closed, tmp_path):
    """A file opened later must not get the descriptor of a closed stream, and with it the output of others."""
    body = "file = open('f', 'w')\nprint('said')\nprint('told', file=sys.stderr)\nfile.write('held')\nfile.close()"
    script = 'exec "$0" -c "$1" ' + " ".join(f"{number}>&-" for number in closed)
    command = ["sh", "-c", script, sys.executable, RUN.format(body=body.replace("\n", "\n    "))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0
    assert (tmp_path / "f").read_text() == "held"
    assert done.stdout == ("" if 1 in closed else "said\n")
    assert done.stderr == ("" if 2 in closed else "told\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_output_is_told():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", RUN.format(body="print('said')")], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert done.stderr.startswith("fluxeq: No space left on device")
    assert len(done.stderr.splitlines()) == 1


def test_a_command_whose_progress_nobody_reads_succeeds():
    reader, writer = os.pipe()
    os.close(reader)
    body = "from contextlib import suppress\nprint('said')\nwith suppress(OSError): print('told', file=sys.stderr)"
    code = RUN.format(body=body.replace("\n", "\n    "))
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=writer, text=True, env=buffered)
    assert (done.returncode, done.stdout) == (0, "said\n")


def test_what_a_stream_cannot_encode_is_escaped():
    done = ended("print('\\u03c6 \\udcff')", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "\\u03c6 \\udcff\n", "")


NATIVE = """import hashlib
print('begun', flush=True)
hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"""
"""A quarter of an hour in compiled code, which exceptions cannot interrupt."""


@pytest.mark.parametrize(
    ("number", "code", "line"),
    [
        (signal.SIGINT, 130, "fluxeq: stopped; run the same command again to resume\n"),
        (signal.SIGTERM, 75, "fluxeq: terminated; run the same command again to resume\n"),
    ],
)
@pytest.mark.parametrize("body", [NATIVE, "import time\nprint('begun', flush=True)\ntime.sleep(900)"])
def test_signals_end_a_command_soon(number, code, line, body, tmp_path):
    """Also if the main thread is in compiled code, and without leaving temporary files behind."""
    begin = "from pathlib import Path\nfrom fluxeq.system.files import atomic_write\n"
    begin += "made = atomic_write(Path('e.h5'))\n"
    body = f"{begin}made.__enter__().write_text('half')\n{body}"
    command = [sys.executable, "-c", RUN.format(body=body.replace("\n", "\n    "))]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (code, "", line)
    assert list(tmp_path.iterdir()) == []


def test_warnings_of_ours_are_lines_and_those_of_libraries_are_not_shown():
    body = "import logging, warnings\nwarnings.warn('old')\nlogging.getLogger('matplotlib').warning('slow')\n"
    body += "logging.getLogger('fluxeq.searching.journal').warning('a line was cut off')"
    done = ended(body)
    assert (done.returncode, done.stderr) == (0, "fluxeq: a line was cut off\n")


WINDOWS = """import os, signal
for name in ("SIGUSR1", "SIGALRM", "setitimer", "ITIMER_REAL", "pthread_sigmask", "SIG_BLOCK"):
    delattr(signal, name)
"""


@pytest.mark.parametrize(("body", "code"), [("pass", 0), ("raise OSError(28, 'full')", 1)])
def test_where_signals_are_few(body, code):
    """As on Windows."""
    command = [sys.executable, "-c", WINDOWS + RUN.format(body=body)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, len(done.stderr.splitlines())) == (code, bool(code)), done.stderr
