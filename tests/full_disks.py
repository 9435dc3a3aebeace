"""Small disks that can be filled; only root may mount them."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def of(folder: Path, size: str) -> Iterator[Path]:
    """An empty disk of a given size, such as 3m, mounted on a folder."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def resize(disk: Path, size: str) -> None:
    """Change the size of a disk."""
    subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)


def _can_mount() -> bool:
    if os.name != "posix" or os.geteuid() != 0:
        return False
    try:
        with tempfile.TemporaryDirectory() as folder, of(Path(folder), "4k"):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


needed = pytest.mark.skipif(not _can_mount(), reason="no right to mount a small disk")
