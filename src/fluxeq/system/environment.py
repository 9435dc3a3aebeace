"""What a process of fluxeq takes from its environment: its arguments alone decide over results.

Notebooks, containers and batch systems set variables for the libraries below: a plotting back end that is not here, a
platform or a precision for JAX. A command and its workers do not take these over. What is left to users are the
number of threads, the place of the caches, and ``FLUXEQ_DEBUG``, which shows warnings and tracebacks.
"""

import logging
import os
import shutil
import sys
import warnings

NARROWEST = 40
"""Columns of a terminal for which help is laid out, which takes for ever in one or two."""


def prepare() -> None:
    """Make this process independent of such variables; to be called before NumPy, JAX and matplotlib are imported."""
    for name in [name for name in os.environ if name.startswith("JAX_")]:
        del os.environ[name]  # the option --device says where networks learn, and the code in which precision
    os.environ["MPLBACKEND"] = "agg"  # figures go to files
    os.environ.pop("SOURCE_DATE_EPOCH", None)  # which libraries read at import; files of fluxeq have no dates
    if shutil.get_terminal_size().columns < NARROWEST:
        os.environ["COLUMNS"] = str(NARROWEST)
    _open_streams()
    _say_what_is_ours()


def _say_what_is_ours() -> None:
    """Let warnings of fluxeq's own loggers be lines like all others, and leave those of libraries out."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(logging.Formatter("fluxeq: %(message)s"))
    logging.getLogger("fluxeq").setLevel(logging.WARNING)
    if not debugging():
        logging.getLogger().setLevel(logging.ERROR)
        warnings.simplefilter("ignore")


def debugging() -> bool:
    """Whether warnings and tracebacks are wanted."""
    return bool(os.environ.get("FLUXEQ_DEBUG"))


def _open_streams() -> None:
    """Connect closed standard streams to nothing, lest a file gets their number; escape what they cannot encode."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            _take_number(number)
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))
        elif number > 0 and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _take_number(number: int) -> None:
    """Open nothing under a file number, unless somebody has it."""
    try:
        os.fstat(number)
    except OSError:
        null = os.open(os.devnull, os.O_RDWR)
        if null != number:
            os.dup2(null, number)
            os.close(null)
