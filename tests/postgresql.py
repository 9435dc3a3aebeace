"""A PostgreSQL server for a test, in a temporary folder, behind a socket there.

Without PostgreSQL the tests are skipped, unless ``FLUXEQ_REQUIRE_POSTGRESQL`` is set.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

DEBIAN = "/usr/lib/postgresql"
"""Debian keeps the programs of each version here, outside the path."""


@contextmanager
def server() -> Iterator[str]:
    """The address of a server that runs during the block."""
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="fluxeq-postgresql-"))
    as_user = _unprivileged()
    if as_user:
        shutil.chown(folder, as_user["user"], as_user["group"])
    data = folder / "data"
    try:
        options = ["-U", "fluxeq", "-A", "trust", "--no-sync", "--locale=C", "-E", "UTF8"]
        create = [programs / "initdb", "-D", data, *options]
        subprocess.run(create, check=True, capture_output=True, cwd=folder, **as_user)
        command = [programs / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, **as_user)
        try:
            _wait(programs, folder, process)
            yield f"postgresql://fluxeq@/postgres?host={folder}"
        finally:
            process.send_signal(signal.SIGINT)  # do not wait for clients
            process.wait(timeout=60)
    finally:
        shutil.rmtree(folder)


def _programs() -> Path:
    """The folder of the programs, of the newest version if there are several."""
    found = shutil.which("postgres")
    folders = [Path(found).resolve().parent] if found else sorted(Path(DEBIAN).glob("*/bin"), key=_version)
    folders = [folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()]
    if not folders:
        reason = "PostgreSQL is not installed (Debian: apt-get install postgresql)"
        if os.environ.get("FLUXEQ_REQUIRE_POSTGRESQL"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folders[-1]


def _version(folder: Path) -> int:
    name = folder.parent.name
    return int(name) if name.isdigit() else 0


def _unprivileged() -> dict[str, int]:
    """The user of Debian's package, since root may not run a server."""
    if os.getuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid}


def _wait(programs: Path, folder: Path, process: subprocess.Popen) -> None:
    end = time.monotonic() + 60
    ready = [programs / "pg_isready", "-q", "-h", folder, "-U", "fluxeq"]
    while subprocess.run(ready).returncode:
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < end, "the server does not answer"
        time.sleep(0.1)
