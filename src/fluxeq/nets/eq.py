"""EQ: the equivariant architecture; no strides, global pooling, any lattice size."""

from typing import Any

from pydantic import field_validator

from fluxeq.nets.network import Block, Pooled
from fluxeq.nets.suggestion import suggested


class EQ(Pooled):
    """Stride 1 everywhere: translations of the input leave the output as it is."""

    blocks: tuple[Block, ...] = (Block(channels=16, kernel=2), Block(channels=16, kernel=1))
    """The convolutional part, from the input on; every stride is 1."""

    @field_validator("blocks")
    @classmethod
    def _no_strides(cls, blocks: tuple[Block, ...]) -> tuple[Block, ...]:
        if not blocks or any(block.stride > 1 for block in blocks):
            raise ValueError("EQ has at least one block, and every stride is 1; ST is the one with strides")
        return blocks

    @classmethod
    def suggest(cls, trial: Any, space: Any) -> dict[str, Any]:
        """The fields of a config, as a trial of a search chooses them."""
        return suggested(trial, space, strides="never", pooled=True)

    @property
    def stride(self) -> int:
        """Every translation leaves the output as it is."""
        return 1

    def require_shape(self, shape: tuple[int, ...]) -> None:
        """EQ works on every lattice."""
