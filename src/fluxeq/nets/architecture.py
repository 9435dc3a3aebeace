"""The protocol of architectures, and their registry.

An architecture is a frozen config (a pydantic model) registered in ``fluxeq.architectures``; the requirements on it are
tested by ``fluxeq.testing.check_architecture``.
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
    """The config of a network; if the network works on one lattice only, it has a field ``shape``."""

    @property
    def stride(self) -> int | None:
        """The output is invariant under translations by multiples of it in every direction; None if there are none."""
        ...

    def build(self, d: int, targets: Sequence[Target], rng: np.random.Generator) -> "eqx.Module":
        """Build a network with random weights for ``d``-dimensional lattices: ``(2 d, *shape)`` to ``(n_targets,)``."""
        ...

    def require_shape(self, shape: tuple[int, ...]) -> None:
        """Raise InputError for a lattice on which the network does not work."""
        ...

    def model_dump(self, *, mode: str = ...) -> dict[str, Any]:
        """The fields as plain data; as JSON types in mode "json"."""
        ...


PURPOSES = {
    "model_validate": "which makes a config from plain fields; derive it from pydantic.BaseModel",
    "model_dump": "which returns its fields; derive it from pydantic.BaseModel",
    "build": "which builds a network",
    "require_shape": "which raises InputError for an unsupported lattice",
    "stride": "which gives the translations under which the output is invariant",
}


def _require_architecture(name: str, found: Any) -> Any:
    if not isinstance(found, type):
        raise InputError(f"architecture {name!r}: must be a config class")
    require_attributes("architecture", name, found, PURPOSES)
    return found


ARCHITECTURES: Registry[Any] = Registry("architecture", "architectures", _require_architecture, "EQ", "ST", "FL")
"""Config classes by name."""


def configured(name: str, settings: dict[str, Any], shape: tuple[int, ...]) -> Architecture:
    """The config of an architecture for a lattice, from its name and the fields that differ from the defaults.

    Raises InputError for an unknown name or field, a value out of range, or an unsupported lattice.
    """
    kind = ARCHITECTURES[name]
    if not isinstance(settings, dict):
        raise InputError(f"{name} config = {settings!r}: must be a JSON object")
    fields = {"shape": shape, **settings} if "shape" in kind.model_fields else settings
    try:
        config: Architecture = kind.model_validate(fields)
    except ValidationError as error:
        raise InputError(f"{name} {first_problem(error)}") from None
    config.require_shape(tuple(shape))
    return config


def takes(config: Architecture, shape: tuple[int, ...]) -> bool:
    """Whether networks of this config work on a lattice."""
    try:
        config.require_shape(shape)
    except InputError:
        return False
    return True
