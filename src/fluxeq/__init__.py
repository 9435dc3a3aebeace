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

_HOMES = {
    "sample": "data.generation",
    "open_ensemble": "data.ensembles",
    "save_ensemble": "data.ensembles",
    "open_worms": "data.generation",
    "dataset": "training.datasets",
    "train": "library",
    "search": "library",
    "evaluate": "library",
    "predict": "training.evaluation",
    "load_model": "training.models",
    "save_model": "training.models",
    "Theory": "theory",
    "FluxTheory": "theory",
    "Task": "tasks.task",
    "Target": "tasks.task",
    "TASKS": "tasks.task",
    "Recipe": "training.recipe",
    "Ensemble": "data.ensembles",
    "Dataset": "training.datasets",
    "Model": "training.models",
    "Score": "training.evaluation",
    "two_point": "sampling.two_point",
    "Architecture": "nets.architecture",
    "EQ": "nets.eq",
    "ST": "nets.st",
    "FL": "nets.fl",
    "Block": "nets.network",
    "Space": "searching.space",
    "Setting": "searching.search",
    "InputError": "errors",
    "StabilityError": "errors",
    "FluxOverflowError": "errors",
    "DivergedError": "errors",
    "GoalMissedError": "errors",
    "exact": "",
    "observables": "",
    "statistics": "",
    "testing": "",
}
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
