"""How a trial chooses a setting from the space: the architecture takes what concerns it, the optimiser is the same."""

from typing import Any

from optuna import Trial

from fluxeq.errors import InputError
from fluxeq.nets.architecture import ARCHITECTURES
from fluxeq.nets.suggestion import choose
from fluxeq.searching.space import Space


def require_searchable(architecture: str) -> None:
    """Raise InputError for an unknown architecture, and for one that does not say how a trial chooses its fields."""
    if not callable(getattr(ARCHITECTURES[architecture], "suggest", None)):
        raise InputError(
            f"architecture {architecture!r}: cannot be searched without a classmethod suggest(trial, space), which "
            "returns the fields of its config; add it, or give fixed networks"
        )


def suggest(trial: Trial, architecture: str, space: Space) -> dict[str, Any]:
    """The fields of an architecture's config, as a trial chooses them."""
    fields: dict[str, Any] = ARCHITECTURES[architecture].suggest(trial, space)
    return fields


def suggest_recipe(trial: Trial, space: Space) -> dict[str, Any]:
    """The settings of the optimiser that the space leaves open, as a trial chooses them, after the architecture's."""
    open_ = {
        "learning_rate": space.learning_rates,
        "batch_size": space.batch_sizes,
        "schedule": space.schedules,
        "weight_decay": space.weight_decays,
    }
    return {name: choose(trial, name, choices) for name, choices in open_.items() if choices}
