"""The space of settings of a search: what may vary, equally for all architectures."""

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from fluxeq.config import Frozen

Choice = str | int


class Space(Frozen):
    """Ranges and choices; the defaults go from about 10^2 to 10^7 parameters."""

    layers: tuple[PositiveInt, PositiveInt] = (1, 4)
    kernels: tuple[PositiveInt, ...] = (1, 2, 3)
    channels: tuple[PositiveInt, ...] = (4, 8, 16, 32, 64, 128)
    poolings: tuple[PositiveInt, ...] = (1, 2)
    strides: tuple[PositiveInt, ...] = (2,)
    activations: tuple[Literal["relu", "leaky_relu", "gelu", "tanh"], ...] = ("relu", "leaky_relu", "gelu", "tanh")
    dense_layers: tuple[NonNegativeInt, NonNegativeInt] = (0, 2)
    widths: tuple[PositiveInt, ...] = (8, 16, 32, 64, 128, 256)
    global_poolings: tuple[Literal["average", "sum", "maximum"], ...] = ("average",)
    """The study searches over all three for detection and counting; n and |phi|^2 are averages."""
    start: dict[str, Choice] = Field(default_factory=dict)
    """The choices of the first setting that is tried, by name; what it leaves out is drawn."""
