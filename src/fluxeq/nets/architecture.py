"""What every architecture offers, and the registry of them.

An architecture is a frozen config, a pydantic model, under a name in ``fluxeq.architectures``; the laws that every one
of them has to keep are ``fluxeq.testing.check_architecture``.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from pydantic import ValidationError

from fluxeq.config import first_problem
from fluxeq.errors import InputError
from fluxeq.registry import Registry, require_attributes
from fluxeq.tasks.task import Target

if TYPE_CHECKING:
    import equinox as eqx


class Architecture(Protocol):
    """The config of a network; one that is bound to a lattice has a field ``shape``."""

    @property
    def stride(self) -> int | None:
        """Translations by multiples of it, in every direction, leave the output as it is; None if hardly any does."""
        ...

    def build(self, d: int, targets: Sequence[Target], rng: np.random.Generator) -> "eqx.Module":
        """A network with fresh weights for lattices of ``d`` dimensions: ``(2 d, *shape)`` to ``(n_targets,)``."""
        ...

    def require_shape(self, shape: tuple[int, ...]) -> None:
        """Raise InputError for a lattice that the network cannot take."""
        ...

    def model_dump(self, *, mode: str = ...) -> dict[str, Any]:
        """The fields as plain data, JSON's types in mode "json"."""
        ...


PURPOSES = {
    "model_validate": "which makes a config of plain fields; derive it from pydantic.BaseModel",
    "model_dump": "which gives its fields back; derive it from pydantic.BaseModel",
    "build": "which makes a network",
    "require_shape": "which refuses a lattice that it cannot take",
    "stride": "which says what translations leave the output as it is",
}


def _require_architecture(name: str, found: Any) -> Any:
    if not isinstance(found, type):
        raise InputError(f"architecture {name!r}: a class of configs is needed")
    require_attributes("architecture", name, found, PURPOSES)
    return found


ARCHITECTURES: Registry[Any] = Registry("architecture", "architectures", _require_architecture, "EQ", "ST", "FL")
"""The classes of configs by name."""


def configured(name: str, settings: dict[str, Any], shape: tuple[int, ...]) -> Architecture:
    """The config of an architecture for a lattice, from its name and the fields that differ from the defaults.

    Raises InputError for an unknown name or field, a value out of range, or a lattice it cannot take.
    """
    kind = ARCHITECTURES[name]
    if not isinstance(settings, dict):
        raise InputError(f"{name} config = {settings!r}: an object of fields is needed")
    fields = {"shape": shape, **settings} if "shape" in kind.model_fields else settings
    try:
        config: Architecture = kind.model_validate(fields)
    except ValidationError as error:
        raise InputError(f"{name} {first_problem(error)}") from None
    config.require_shape(tuple(shape))
    return config


def takes(config: Architecture, shape: tuple[int, ...]) -> bool:
    """Whether networks of this config can be applied to a lattice."""
    try:
        config.require_shape(shape)
    except InputError:
        return False
    return True
