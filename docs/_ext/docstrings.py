"""Docstrings as they are written here, for Sphinx: indented lines are formulas, double backquotes the only markup."""

import re
from itertools import groupby
from typing import Any

from sphinx.application import Sphinx

MARKUP = re.compile(r"(``.+?``)")
SPECIAL = re.compile(r"([|*`_\\])")


def as_rst(lines: list[str]) -> list[str]:
    """A docstring as reStructuredText: formulas are literal blocks, special characters stand for themselves."""
    found: list[str] = []
    for is_formula, some in groupby(lines, lambda line: line.startswith("    ")):
        block = list(some)
        if is_formula:
            found += ["", ".. code-block:: text", "", *block, ""]
        else:
            found += ["".join(_escaped(part) for part in MARKUP.split(line)) for line in block]
    return found


def _escaped(part: str) -> str:
    return part if MARKUP.fullmatch(part) else SPECIAL.sub(r"\\\1", part)


def process(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Put a docstring of ours into the form that Sphinx reads; pydantic's and Python's own are left out."""
    text = "\n".join(lines)
    if "!!! " in text or text.startswith("Create and return a new object"):
        lines.clear()
    lines[:] = as_rst(lines)


def is_skipped(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool:
    """Whether a member is left out: constants of modules are."""
    return skip or (what == "module" and not callable(obj))


def setup(app: Sphinx) -> dict[str, bool]:
    """Listen to autodoc."""
    app.connect("autodoc-process-docstring", process)
    app.connect("autodoc-skip-member", is_skipped)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
