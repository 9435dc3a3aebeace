"""The space of settings of a search: what may vary, equally for all architectures."""

from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from fluxeq.config import Frozen

Choice = str | int | float


def not_searched(choices: tuple[Choice, ...]) -> bool:
    """Whether there is nothing to choose; such a field is left out of what is written, as before there was any."""
    return not choices


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
    learning_rates: tuple[PositiveFloat, ...] = Field(default=(), exclude_if=not_searched)
    """Choices for the settings of the optimiser, the same for all architectures; without any, the recipe's holds."""
    batch_sizes: tuple[PositiveInt, ...] = Field(default=(), exclude_if=not_searched)
    """Other batches do not change the number of steps; see ``Recipe.varied``."""
    schedules: tuple[Literal["constant", "cosine"], ...] = Field(default=(), exclude_if=not_searched)
    weight_decays: tuple[NonNegativeFloat, ...] = Field(default=(), exclude_if=not_searched)
    start: dict[str, Choice] = Field(default_factory=dict)
    """The choices of the first setting that is tried, by name; what it leaves out is drawn."""
