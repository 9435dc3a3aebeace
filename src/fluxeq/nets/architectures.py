"""The registry of architectures: two letters and a frozen config that builds a network.

A further architecture is a file beside ``eq.py`` and an entry here; every law in the tests runs over all entries.
"""

from typing import Any, Protocol

import numpy as np
from pydantic import ValidationError

from fluxeq.config import first_problem
from fluxeq.errors import InputError
from fluxeq.nets.eq import EQ
from fluxeq.nets.fl import FL
from fluxeq.nets.network import Block, Network
from fluxeq.nets.st import ST

ARCHITECTURES: dict[str, type[EQ] | type[ST] | type[FL]] = {"EQ": EQ, "ST": ST, "FL": FL}


class Architecture(Protocol):
    """What every config offers."""

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The convolutional part, from the input on."""
        ...

    def build(self, d: int, n_targets: int, rng: np.random.Generator) -> Network:
        """A network with fresh weights for lattices of ``d`` dimensions."""
        ...

    def require_shape(self, shape: tuple[int, ...]) -> None:
        """Raise InputError for a lattice that the network cannot take."""
        ...

    def model_dump(self, *, mode: str = ...) -> dict[str, Any]:
        """The fields as plain data, JSON's types in mode "json"."""
        ...


def require_architecture(name: str) -> None:
    """Raise InputError for a name that is not in the registry."""
    if name not in ARCHITECTURES:
        raise InputError(f"architecture {name!r}: choose one of {', '.join(ARCHITECTURES)}")


def configured(name: str, settings: dict[str, Any], shape: tuple[int, ...]) -> Architecture:
    """The config of an architecture for a lattice, from its name and the fields that differ from the defaults.

    Raises InputError for an unknown name or field, a value out of range, or a lattice it cannot take.
    """
    require_architecture(name)
    kind = ARCHITECTURES[name]
    if not isinstance(settings, dict):
        raise InputError(f"{name} config = {settings!r}: an object of fields is needed")
    fields = {"shape": shape, **settings} if "shape" in kind.model_fields else settings
    try:
        config = kind.model_validate(fields)
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
