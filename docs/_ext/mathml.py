"""Formulas as MathML, made by docutils while the site is built: browsers show it, and no script is fetched."""

import re
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

FUNCTION = re.compile(r"(<mo>&ApplyFunction;</mo>)(?=\s*<m(?:i|n|sub|sup)>)")
LOGGER = logging.getLogger(__name__)


def spaced(formula: str) -> str:
    """A formula with a thin space after function names, and none inside bars."""
    formula = FUNCTION.sub(r'\1<mspace width="0.1667em"></mspace>', formula)
    return formula.replace('<mo stretchy="false">|</mo>', '<mo stretchy="false" lspace="0" rspace="0">|</mo>')


def visit(page: Any, node: nodes.math | nodes.math_block) -> None:
    """Write a formula into a page; one that docutils does not know is a warning, which fails the build."""
    try:
        page.body.append(spaced(tex2mathml(node.astext(), as_block=isinstance(node, nodes.math_block))))
    except MathError as error:
        LOGGER.warning("formula %r: %s", node.astext(), error, location=node)
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the renderer."""
    app.add_html_math_renderer("mathml", (visit, None), (visit, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
