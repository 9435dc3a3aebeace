"""Figures as image files."""

import errno
import os
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from fluxeq.report.figures.canvas import save


@pytest.mark.parametrize("suffix", ["png", "pdf"])
def test_a_full_disk_is_told_as_such(tmp_path, monkeypatch, suffix):
    """With the error of the operating system, and without leftover files."""

    def full(path, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left") as failed:
        save(Figure(), tmp_path / f"a.{suffix}")
    assert failed.value.filename == str(tmp_path / f"a.{suffix}")
    assert not list(tmp_path.iterdir())
