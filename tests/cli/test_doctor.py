"""Information on this machine and this installation."""

import json
import shutil
import sys
from contextlib import suppress

from fluxeq import __version__
from fluxeq.__main__ import main


def doctor(monkeypatch, capsys, *options):
    monkeypatch.setattr(sys, "argv", ["fluxeq", "doctor", *options])
    with suppress(SystemExit):
        main()
    return capsys.readouterr().out


def test_what_is_told(capsys, tmp_path, monkeypatch):
    """With the cache in another folder, or in none."""
    monkeypatch.setenv("FLUXEQ_CACHE", str(tmp_path / "kept"))
    lines = dict(line.split(maxsplit=1) for line in doctor(monkeypatch, capsys).splitlines())
    assert lines["fluxeq"] == __version__
    assert "jax " in lines["packages"]
    assert "memory " in lines["machine"]
    assert lines["cache"].startswith(str(tmp_path / "kept"))
    shutil.rmtree(tmp_path / "kept")
    (tmp_path / "kept").write_text("")
    found = json.loads(doctor(monkeypatch, capsys, "--json"))
    assert found["cache"] == "none: no writable folder"
    assert set(found["GPU"]) == {"sampling", "networks"}
