"""Suggestion of a setting from the space: fields of the architecture, and optimiser settings common to all."""

from typing import Any

from optuna import Trial

from fluxeq.errors import InputError
from fluxeq.nets.architecture import ARCHITECTURES
from fluxeq.nets.suggestion import choose
from fluxeq.searching.space import Space


def require_searchable(architecture: str) -> None:
    """Raise InputError for an unknown architecture, and for one without ``suggest``."""
    if not callable(getattr(ARCHITECTURES[architecture], "suggest", None)):
        raise InputError(
            f"architecture {architecture!r}: a search needs its classmethod suggest(trial, space), which "
            "returns the fields of a config; add it, or give fixed networks"
        )


def suggest(trial: Trial, architecture: str, space: Space) -> dict[str, Any]:
    """The fields of an architecture's config, suggested by a trial."""
    fields: dict[str, Any] = ARCHITECTURES[architecture].suggest(trial, space)
    return fields


def suggest_recipe(trial: Trial, space: Space) -> dict[str, Any]:
    """The optimiser settings in the space, suggested by a trial after those of the architecture."""
    return {name: choose(trial, name, choices) for name, choices in space.of_recipe.items() if choices}
