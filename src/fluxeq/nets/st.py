"""ST: equivariance weakened by strides; global pooling, any lattice size."""

from typing import Any, Self

from pydantic import field_validator, model_validator

from fluxeq.nets.network import Block, Pooled, ends_in_whole_windows, total_stride
from fluxeq.nets.suggestion import suggested


class ST(Pooled):
    """At least one stride above 1: only translations by multiples of all strides together leave the output alone.

    Where a stride does not divide an extent, the last window overlaps the first around the lattice, and none does.
    """

    blocks: tuple[Block, ...] = (Block(channels=16, kernel=2, stride=2), Block(channels=16, kernel=1))
    """The convolutional part, from the input on; at least one stride is above 1."""

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

    def require_shape(self, shape: tuple[int, ...]) -> None:
        """ST works on every lattice."""
