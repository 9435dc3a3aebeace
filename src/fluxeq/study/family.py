"""What is one curve in a figure: an architecture with its networks, or a function that was made elsewhere."""

import re
from collections.abc import Callable
from typing import Any, Self

from pydantic import Field, JsonValue, ValidationError, field_validator, model_validator

from fluxeq.config import Frozen, first_problem
from fluxeq.errors import InputError
from fluxeq.nets.architecture import ARCHITECTURES
from fluxeq.registry import Registry
from fluxeq.training.recipe import Recipe

SAME_LAYERS, SEARCHED = "same layers", "searched"
PROTOCOLS = (SAME_LAYERS, SEARCHED)
"""How networks are chosen: fixed beforehand, or by a search."""


class FixedNetwork(Frozen):
    """A network that is given in place of one that a search finds."""

    config: dict[str, JsonValue]
    """The fields of the architecture that differ from its defaults."""
    recipe: dict[str, JsonValue] = Field(default_factory=dict)
    """Those of the recipe of the section that this network wants otherwise."""

    def require_recipe(self, recipe: Recipe) -> None:
        """Raise ValueError for what no recipe knows."""
        try:
            Recipe.model_validate(recipe.model_dump() | self.recipe)
        except ValidationError as error:
            raise ValueError(f"recipe.{first_problem(error)}") from None


class Family(Frozen):
    """Networks of one architecture, searched or fixed; or a function of configurations, which is not trained."""

    architecture: str = ""
    """The name of the family, unless given; empty for a function."""
    augmentation: bool = False
    """Train on configurations that are translated at random in every epoch."""
    networks: tuple[FixedNetwork, ...] = ()
    """Networks that the instances take in turn, in place of those that searches find."""
    function: str | None = None
    """``module:name`` of a function of NumPy arrays: configurations ``(n, 2 d, *shape)`` to outputs ``(n, n_targets)``.
    """

    @field_validator("architecture")
    @classmethod
    def _known(cls, name: str) -> str:
        if name and ":" not in name:
            ARCHITECTURES.require_known(name)
        return name

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.function is not None and (self.architecture or self.augmentation or self.networks):
            raise ValueError("function: it is not trained, so nothing else can be set beside it")
        if self.function is not None and ":" not in self.function:
            raise ValueError(f"function = {self.function!r}: module:name is needed")
        return self

    @property
    def searched(self) -> bool:
        """Whether its networks are those that searches find."""
        return self.function is None and not self.networks

    @property
    def protocol(self) -> str:
        """How its networks are chosen; a function is given beforehand."""
        return SEARCHED if self.searched else SAME_LAYERS

    def require_there(self, shape: tuple[int, ...]) -> None:
        """Raise InputError for a function or a class that is not there, or networks that cannot be built; loads JAX."""
        from fluxeq.nets.architecture import configured

        if self.function is not None:
            FUNCTIONS[self.function]
            return
        ARCHITECTURES[self.architecture]
        for network in self.networks:
            configured(self.architecture, network.config, shape)


def _require_callable(name: str, found: Any) -> Callable[..., Any]:
    if not callable(found):
        raise InputError(f"function {name!r}: a function of a batch of configurations is needed")
    return found


FUNCTIONS: Registry[Callable[..., Any]] = Registry("function", "functions", _require_callable)
"""Functions that take the place of networks, by ``module:name``."""


def file_stem(name: str) -> str:
    """A name as part of the name of a file: letters, digits, underscores and dots; hyphens for all else."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", name).strip("-.")
