"""The site: ``sphinx-build -j 2 -nW --keep-going docs docs/_build/html``. Neither build nor pages fetch anything."""

import logging
import os
import sys
from pathlib import Path

import fluxeq

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # fluxeq, in cells of bash
os.environ["IPYTHONDIR"] = str(Path(__file__).parent / "_ipython")  # which says how pages are executed
logging.getLogger("traitlets").setLevel(logging.WARNING)  # which names every notebook
os.environ.setdefault("OMP_NUM_THREADS", "1")  # pages are read side by side

project = "fluxeq"
author = copyright = "the fluxeq developers"
release = version = fluxeq.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "docstrings", "mathml", "reference"]
exclude_patterns = ["_build", "_ext", "_ipython"]
nitpick_ignore_regex = [("py:.*", r"(?!fluxeq).*")]  # of other packages; there is no list of their names here

smartquotes = False  # keeps dashes of options and quotes of code

html_theme = "furo"
html_title = "fluxeq"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = html_show_sourcelink = False
html_math_renderer = "mathml"

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 200
nb_merge_streams = True
nb_output_stderr = "remove"  # progress

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
