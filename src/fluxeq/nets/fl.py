"""FL: translations broken by flattening; one lattice size only."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pydantic import PositiveInt, field_validator

from fluxeq.config import Frozen
from fluxeq.errors import InputError
from fluxeq.lattice import shape_name
from fluxeq.nets.layers import Activation, Flatten
from fluxeq.nets.network import Block, Network, assemble
from fluxeq.nets.suggestion import suggested
from fluxeq.tasks.task import Target


class FL(Frozen):
    """Flattening instead of global pooling: every lattice site has its own weights."""

    shape: tuple[int, ...]
    """The lattice, time first; by default that of the training data."""
    blocks: tuple[Block, ...] = (Block(channels=16, kernel=2), Block(channels=4, kernel=1))
    """The convolutional part, starting at the input."""
    pooling: Literal["average", "maximum"] = "average"
    """The kind of spatial pooling."""
    activation: Activation = "gelu"
    """Activation of all hidden layers."""
    dense: tuple[PositiveInt, ...] = (16,)
    """Widths of the hidden layers after the flattening."""

    @field_validator("blocks")
    @classmethod
    def _some_block(cls, blocks: tuple[Block, ...]) -> tuple[Block, ...]:
        if not blocks:
            raise ValueError("FL needs at least one block")
        return blocks

    @classmethod
    def suggest(cls, trial: Any, space: Any) -> dict[str, Any]:
        """The fields of a config, suggested by a trial of a search."""
        return suggested(trial, space, strides="maybe", pooled=False)

    @property
    def stride(self) -> None:
        """Flattening breaks all translations."""
        return None

    def build(self, d: int, targets: Sequence[Target], rng: np.random.Generator) -> Network:
        """Build a network with random weights for the lattice."""
        if d != len(self.shape):
            raise InputError(f"d = {d}: this FL network is for the {len(self.shape)}-dimensional lattice {self.shape}")
        n_sites = math.prod(map(self._sites_behind, self.shape))
        return assemble(self, Flatten(), n_sites, d, targets, rng)

    def require_shape(self, shape: tuple[int, ...]) -> None:
        """Raise InputError for any other lattice."""
        if tuple(shape) != self.shape:
            own = shape_name(self.shape)
            raise InputError(
                f"lattice {shape_name(shape)}: this FL network is for {own} only; use that, or an EQ network"
            )

    def _sites_behind(self, extent: int) -> int:
        """Extent after all strides, rounded up at each."""
        for block in self.blocks:
            extent = -(-extent // block.stride)
        return extent
