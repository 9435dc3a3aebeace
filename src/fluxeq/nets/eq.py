"""EQ: the equivariant architecture; no strides, global pooling, any lattice size."""

from typing import Any

from pydantic import field_validator

from fluxeq.nets.network import Block, Pooled
from fluxeq.nets.suggestion import suggested


class EQ(Pooled):
    """Stride 1 everywhere: the output is invariant under translations of the input."""

    blocks: tuple[Block, ...] = (Block(channels=16, kernel=2), Block(channels=16, kernel=1))
    """The convolutional part, starting at the input; all strides are 1."""

    @field_validator("blocks")
    @classmethod
    def _no_strides(cls, blocks: tuple[Block, ...]) -> tuple[Block, ...]:
        if not blocks or any(block.stride > 1 for block in blocks):
            raise ValueError("EQ needs at least one block, with stride 1 everywhere; use ST for strides")
        return blocks

    @classmethod
    def suggest(cls, trial: Any, space: Any) -> dict[str, Any]:
        """The fields of a config, suggested by a trial of a search."""
        return suggested(trial, space, strides="never", pooled=True)

    @property
    def stride(self) -> int:
        """The output is invariant under all translations."""
        return 1

    def require_shape(self, shape: tuple[int, ...]) -> None:
        """EQ works on every lattice."""
