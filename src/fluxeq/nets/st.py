"""ST: equivariance weakened by strides; global pooling, lattices that the strides divide."""

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from pydantic import PositiveInt, field_validator, model_validator

from fluxeq.config import Frozen
from fluxeq.errors import InputError
from fluxeq.nets.layers import Activation, GlobalPooling, Pooling
from fluxeq.nets.network import Block, Network, assemble, ends_in_whole_windows, total_stride
from fluxeq.nets.suggestion import suggested
from fluxeq.tasks.task import Target


class ST(Frozen):
    """At least one stride above 1: only translations by multiples of all strides together leave the output alone."""

    blocks: tuple[Block, ...] = (Block(channels=16, kernel=2, stride=2), Block(channels=16, kernel=1))
    pooling: Literal["average", "maximum"] = "average"
    activation: Activation = "gelu"
    global_pooling: Pooling = "average"
    dense: tuple[PositiveInt, ...] = ()

    @field_validator("blocks")
    @classmethod
    def _some_stride(cls, blocks: tuple[Block, ...]) -> tuple[Block, ...]:
        if total_stride(blocks) == 1:
            raise ValueError("ST has at least one stride above 1; EQ is the one without strides")
        return blocks

    @model_validator(mode="after")
    def _stride_that_breaks_something(self) -> Self:
        averages = self.pooling == "average" and self.global_pooling != "maximum"
        if averages and ends_in_whole_windows(self.blocks) and total_stride(self.blocks[:-1]) == 1:
            raise ValueError(
                "averages over whole windows right before the average over all sites undo the only stride; "
                "use maximum pooling, or a stride elsewhere"
            )
        return self

    @classmethod
    def suggest(cls, trial: Any, space: Any) -> dict[str, Any]:
        """The fields of a config, as a trial of a search chooses them."""
        return suggested(trial, space, strides="once", pooled=True)

    @property
    def stride(self) -> int:
        """All strides together."""
        return total_stride(self.blocks)

    def build(self, d: int, targets: Sequence[Target], rng: np.random.Generator) -> Network:
        """A network with fresh weights for lattices of ``d`` dimensions."""
        return assemble(self, GlobalPooling(self.global_pooling), 1, d, targets, rng)

    def require_shape(self, shape: tuple[int, ...]) -> None:
        """Raise InputError unless the strides divide every extent."""
        stride = total_stride(self.blocks)
        if any(extent % stride for extent in shape):
            raise InputError(
                f"lattice {'x'.join(map(str, shape))}: the strides of this ST network need extents divisible by "
                f"{stride}; use such a lattice, or an EQ network"
            )
