"""What this machine and this installation are."""

import json
import shutil

from fluxeq import __version__
from fluxeq.__main__ import main


def test_what_is_told(capsys, tmp_path, monkeypatch):
    """With a cache that is somewhere else, or nowhere."""
    monkeypatch.setenv("FLUXEQ_CACHE", str(tmp_path / "kept"))
    assert main(["doctor"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["fluxeq"] == __version__
    assert "jax " in lines["packages"]
    assert "memory " in lines["machine"]
    assert lines["cache"].startswith(str(tmp_path / "kept"))
    shutil.rmtree(tmp_path / "kept")
    (tmp_path / "kept").write_text("")
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["cache"] == "none: no folder to write to"
    assert set(found["GPU"]) == {"sampling", "networks"}
