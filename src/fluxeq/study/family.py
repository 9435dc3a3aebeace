"""A family, one curve in the figures: an architecture with its networks, or an external function."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from fluxeq.config import Frozen
from fluxeq.errors import InputError
from fluxeq.nets.architecture import ARCHITECTURES
from fluxeq.registry import Registry
from fluxeq.system.files import read_json

SAME_LAYERS, SEARCHED = "same layers", "searched"
PROTOCOLS = (SAME_LAYERS, SEARCHED)
"""How networks are selected: fixed beforehand, or by a search."""


class FixedNetwork(Frozen):
    """A network given explicitly instead of found by a search."""

    config: dict[str, JsonValue]
    """The fields of the architecture that differ from its defaults."""
    recipe: dict[str, JsonValue] = Field(default_factory=dict)
    """Fields of the section's recipe that differ for this network."""


def searched_network(path: Path) -> FixedNetwork:
    """The best network of a search, from its ``best.json``. Raises InputError if the file is not the result of one."""
    found = read_json(path)
    if not isinstance(found, dict) or not isinstance(found.get("config"), dict):
        raise InputError(f"{path}: not the result of a search; remove it and run the same command again")
    return FixedNetwork(config=found["config"], recipe=found.get("recipe", {}))


class Family(Frozen):
    """Networks of one architecture, searched or fixed; or a function of configurations, which is not trained."""

    architecture: str = ""
    """By default the name of the family; empty for a function."""
    augmentation: bool = False
    """Apply a random translation to every configuration in every epoch."""
    networks: tuple[FixedNetwork, ...] = ()
    """Networks used by the instances in turn, instead of those found by searches."""
    function: str | None = None
    """``module:name`` of a function that maps a NumPy array ``(n, 2 d, *shape)`` to outputs ``(n, n_targets)``.
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
            raise ValueError("function: not trained, so no other setting of the family is possible")
        if self.function is not None and ":" not in self.function:
            raise ValueError(f"function = {self.function!r}: must be module:name")
        return self

    @property
    def searched(self) -> bool:
        """Whether its networks are found by searches."""
        return self.function is None and not self.networks

    @property
    def protocol(self) -> str:
        """How its networks are selected; a function counts as fixed."""
        return SEARCHED if self.searched else SAME_LAYERS

    def require_importable(self, shape: tuple[int, ...]) -> None:
        """Raise InputError for a function or class that cannot be imported or built; loads JAX."""
        from fluxeq.nets.architecture import configured

        if self.function is not None:
            FUNCTIONS[self.function]
            return
        ARCHITECTURES[self.architecture]
        for network in self.networks:
            configured(self.architecture, network.config, shape)


def _require_callable(name: str, found: Any) -> Callable[..., Any]:
    if not callable(found):
        raise InputError(f"function {name!r}: must be a function of a batch of configurations")
    return found


FUNCTIONS: Registry[Callable[..., Any]] = Registry("function", "functions", _require_callable)
"""External functions, by ``module:name``."""


def file_stem(name: str) -> str:
    """A name for use in file names: letters, digits, underscores and dots are kept, the rest becomes hyphens."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", name).strip("-.")
