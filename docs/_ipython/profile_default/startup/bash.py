"""Cells of bash, whose output comes in one piece; one that fails says why, and fails the build."""

import subprocess

from IPython.core.magic import register_cell_magic


@register_cell_magic
def bash(line, cell):
    """Run a cell, up to the first command that fails."""
    done = subprocess.run(["bash", "-e"], input=cell, capture_output=True, text=True, check=False)
    print(done.stdout, end="")
    if done.returncode:
        raise RuntimeError(done.stderr)
