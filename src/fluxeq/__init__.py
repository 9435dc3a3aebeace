"""fluxeq: lattice field theory in its flux representation, and equivariant neural networks on it.

    sample, open_ensemble, save_ensemble, open_worms    ensembles, closed or with open worms
    dataset, train, search, evaluate, predict           training and evaluating networks
    load_model, save_model                              model files
    Theory, FluxTheory, Task, Target, Recipe            theories, tasks, training settings
    Architecture, EQ, ST, FL, Block, Space, Setting     network configs, search spaces and settings
    two_point                                           two-point function of the field, from the worm
    InputError and its subclasses                       errors with a one-line message
    exact, observables, statistics, testing             exact results, observables, errors, checks

Names are imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fluxeq import exact, observables, statistics, testing
    from fluxeq.data.ensembles import Ensemble, open_ensemble, save_ensemble
    from fluxeq.data.generation import open_worms, sample
    from fluxeq.errors import DivergedError, FluxOverflowError, GoalMissedError, InputError, StabilityError
    from fluxeq.library import evaluate, search, train
    from fluxeq.nets.architecture import Architecture
    from fluxeq.nets.eq import EQ
    from fluxeq.nets.fl import FL
    from fluxeq.nets.network import Block
    from fluxeq.nets.st import ST
    from fluxeq.sampling.two_point import two_point
    from fluxeq.searching.search import Setting
    from fluxeq.searching.space import Space
    from fluxeq.tasks.task import TASKS, Target, Task
    from fluxeq.theory import FluxTheory, Theory
    from fluxeq.training.datasets import Dataset, dataset
    from fluxeq.training.evaluation import Score, predict
    from fluxeq.training.models import Model, load_model, save_model
    from fluxeq.training.recipe import Recipe

__version__ = "0.1.0"

_NAMES = {
    "": ("exact", "observables", "statistics", "testing"),
    "data.ensembles": ("Ensemble", "open_ensemble", "save_ensemble"),
    "data.generation": ("open_worms", "sample"),
    "errors": ("DivergedError", "FluxOverflowError", "GoalMissedError", "InputError", "StabilityError"),
    "library": ("evaluate", "search", "train"),
    "nets.architecture": ("Architecture",),
    "nets.eq": ("EQ",),
    "nets.fl": ("FL",),
    "nets.network": ("Block",),
    "nets.st": ("ST",),
    "sampling.two_point": ("two_point",),
    "searching.search": ("Setting",),
    "searching.space": ("Space",),
    "tasks.task": ("TASKS", "Target", "Task"),
    "theory": ("FluxTheory", "Theory"),
    "training.datasets": ("Dataset", "dataset"),
    "training.evaluation": ("Score", "predict"),
    "training.models": ("Model", "load_model", "save_model"),
    "training.recipe": ("Recipe",),
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names}
__all__ = [
    "EQ",
    "FL",
    "ST",
    "TASKS",
    "Architecture",
    "Block",
    "Dataset",
    "DivergedError",
    "Ensemble",
    "FluxOverflowError",
    "FluxTheory",
    "GoalMissedError",
    "InputError",
    "Model",
    "Recipe",
    "Score",
    "Setting",
    "Space",
    "StabilityError",
    "Target",
    "Task",
    "Theory",
    "__version__",
    "dataset",
    "evaluate",
    "exact",
    "load_model",
    "observables",
    "open_ensemble",
    "open_worms",
    "predict",
    "sample",
    "save_ensemble",
    "save_model",
    "search",
    "statistics",
    "testing",
    "train",
    "two_point",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that the command line starts fast."""
    if name not in _HOMES:
        raise AttributeError(f"module 'fluxeq' has no attribute {name!r}")
    home = _HOMES[name]
    found = getattr(import_module(f"fluxeq.{home}"), name) if home else import_module(f"fluxeq.{name}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
