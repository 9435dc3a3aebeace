"""fluxeq: lattice field theory in its flux representation, and what network symmetries are worth on it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fluxeq.data.ensembles import Ensemble, open_ensemble
    from fluxeq.data.generation import sample
    from fluxeq.theory import Theory

__version__ = "0.1.0"
__all__ = ["Ensemble", "Theory", "__version__", "open_ensemble", "sample"]

_HOMES = {
    "Ensemble": "fluxeq.data.ensembles",
    "Theory": "fluxeq.theory",
    "open_ensemble": "fluxeq.data.ensembles",
    "sample": "fluxeq.data.generation",
}


def __getattr__(name: str) -> Any:
    """Import the public names on first use, so that the command line answers at once."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'fluxeq' has no attribute {name!r}")
