"""ST: equivariance weakened by strides; global pooling, any lattice size."""

from typing import Any, Self

from pydantic import field_validator, model_validator

from fluxeq.nets.network import Block, Pooled, ends_in_whole_windows, total_stride
from fluxeq.nets.suggestion import suggested


class ST(Pooled):
    """At least one stride above 1: the output is invariant under translations by multiples of the total stride only.

    If a stride does not divide an extent, the last window wraps around and overlaps the first, and no symmetry is left.
    """

    blocks: tuple[Block, ...] = (Block(channels=16, kernel=2, stride=2), Block(channels=16, kernel=1))
    """The convolutional part, starting at the input; at least one stride is above 1."""

    @field_validator("blocks")
    @classmethod
    def _some_stride(cls, blocks: tuple[Block, ...]) -> tuple[Block, ...]:
        if total_stride(blocks) == 1:
            raise ValueError("ST needs at least one stride above 1; use EQ without strides")
        return blocks

    @model_validator(mode="after")
    def _stride_that_breaks_something(self) -> Self:
        averages = self.pooling == "average" and self.global_pooling != "maximum"
        if averages and ends_in_whole_windows(self.blocks) and total_stride(self.blocks[:-1]) == 1:
            raise ValueError(
                "average pooling right before the global average makes the only stride ineffective; "
                "use maximum pooling, or a stride elsewhere"
            )
        return self

    @classmethod
    def suggest(cls, trial: Any, space: Any) -> dict[str, Any]:
        """The fields of a config, suggested by a trial of a search."""
        return suggested(trial, space, strides="once", pooled=True)

    @property
    def stride(self) -> int:
        """The total stride."""
        return total_stride(self.blocks)

    def require_shape(self, shape: tuple[int, ...]) -> None:
        """ST works on every lattice."""
