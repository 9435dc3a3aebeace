"""Environment variables of a fluxeq process: results depend on its arguments only.

Notebooks, containers and batch systems set variables for JAX or matplotlib, such as a plotting back end that is not
installed, or a platform or precision. Commands and their workers ignore these. Users can still set the number of
threads, the location of the caches, and ``FLUXEQ_DEBUG``, which shows warnings and tracebacks.
"""

import logging
import os
import shutil
import sys
import warnings

MIN_COLUMNS = 40
"""Minimum terminal width in columns for help texts; formatting them for one or two columns never ends."""


def prepare() -> None:
    """Make this process independent of such variables; call before importing NumPy, JAX and matplotlib."""
    for name in [name for name in os.environ if name.startswith("JAX_")]:
        del os.environ[name]  # the device is set by --device, the precision by the code
    os.environ["MPLBACKEND"] = "agg"  # figures go to files
    os.environ.pop("SOURCE_DATE_EPOCH", None)  # read by libraries at import; fluxeq writes no dates
    if shutil.get_terminal_size().columns < MIN_COLUMNS:
        os.environ["COLUMNS"] = str(MIN_COLUMNS)
    _open_streams()
    _configure_messages()


def _configure_messages() -> None:
    """Print warnings of fluxeq's own loggers like other messages, and hide those of libraries."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(logging.Formatter("fluxeq: %(message)s"))
    logging.getLogger("fluxeq").setLevel(logging.WARNING)
    if not debugging():
        logging.getLogger().setLevel(logging.ERROR)
        warnings.simplefilter("ignore")


def debugging() -> bool:
    """Whether warnings and tracebacks are shown."""
    return bool(os.environ.get("FLUXEQ_DEBUG"))


def _open_streams() -> None:
    """Connect closed standard streams to /dev/null, lest a file get their number; escape unencodable characters."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            _reserve_descriptor(number)
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))
        elif number > 0 and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _reserve_descriptor(number: int) -> None:
    """Open /dev/null as file descriptor ``number`` unless it is in use."""
    try:
        os.fstat(number)
    except OSError:
        null = os.open(os.devnull, os.O_RDWR)
        if null != number:
            os.dup2(null, number)
            os.close(null)
