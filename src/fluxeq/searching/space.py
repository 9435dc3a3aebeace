"""The space of settings of a search: what may vary, equally for all architectures."""

from collections.abc import Collection
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator, model_validator

from fluxeq.config import Frozen
from fluxeq.nets.extent import Extent
from fluxeq.training.recipe import Rate, WeightDecay

Choice = str | int | float
SOME = Field(min_length=1)
Windows = Annotated[tuple[Extent, ...], SOME]
Sizes = Annotated[tuple[PositiveInt, ...], SOME]
Activations = Annotated[tuple[Literal["relu", "leaky_relu", "gelu", "tanh"], ...], SOME]
GlobalPoolings = tuple[Literal["average", "sum", "maximum"], ...]


def not_searched(choices: tuple[Choice, ...]) -> bool:
    """Whether there is nothing to choose; such a field is left out of what is written, as before there was any."""
    return not choices


class Space(Frozen):
    """Ranges and choices; the defaults go from about 10^2 to 10^7 parameters."""

    layers: tuple[PositiveInt, PositiveInt] = (1, 4)
    """Least and most blocks."""
    kernels: Windows = (1, 2, 3)
    """Extents of kernels."""
    channels: Sizes = (4, 8, 16, 32, 64, 128)
    """Channels of a block."""
    poolings: Windows = (1, 2)
    """Extents of spatial poolings; 1 is none."""
    strides: Sizes = (2,)
    """Strides of one block of ST; FL may also have none, in its first block."""
    activations: Activations = ("relu", "leaky_relu", "gelu", "tanh")
    """Activations, one for all hidden layers."""
    dense_layers: tuple[NonNegativeInt, NonNegativeInt] = (0, 2)
    """Least and most hidden dense layers."""
    widths: Sizes = (8, 16, 32, 64, 128, 256)
    """Widths of these."""
    global_poolings: GlobalPoolings = Field(default=(), exclude_if=not_searched)
    """Without any, each target is pooled by its nature: densities as averages, numbers as sums, presence as maxima."""
    learning_rates: tuple[Rate, ...] = Field(default=(), exclude_if=not_searched)
    """Choices for the settings of the optimiser, the same for all architectures; without any, the recipe's holds."""
    batch_sizes: tuple[PositiveInt, ...] = Field(default=(), exclude_if=not_searched)
    """Other batches do not change the number of steps; see ``Recipe.varied``."""
    schedules: tuple[Literal["constant", "cosine"], ...] = Field(default=(), exclude_if=not_searched)
    """Choices, as in a recipe."""
    weight_decays: tuple[WeightDecay, ...] = Field(default=(), exclude_if=not_searched)
    """Likewise."""
    start: dict[str, Choice] = Field(default_factory=dict)
    """The choices of the first setting that is tried, by name; what it leaves out is drawn."""

    @field_validator("layers", "dense_layers")
    @classmethod
    def _least_and_most(cls, numbers: tuple[int, int]) -> tuple[int, int]:
        if numbers[0] > numbers[1]:
            raise ValueError("the least and the most are needed, in this order")
        return numbers

    @model_validator(mode="after")
    def _start_in_it(self) -> Self:
        for name, value in self.start.items():
            if value not in self._choices(name):
                raise ValueError(f"start.{name} = {value!r}: not among the choices of this space")
        return self

    def _choices(self, name: str) -> Collection[Choice]:
        """What can be chosen under one of the names that ``suggestion`` uses; nothing under any other."""
        stem, _, layer = name.rpartition("_")
        if layer.isdigit():
            of_layers = {"channels": self.channels, "kernel": self.kernels, "pooling": self.poolings}
            n_layers = self.dense_layers[1] if stem == "width" else self.layers[1]
            return {**of_layers, "width": self.widths}.get(stem, ()) if int(layer) < n_layers else ()
        return {
            "layers": range(self.layers[0], self.layers[1] + 1),
            "strided_layer": range(self.layers[1]),
            "stride": (1, *self.strides),
            "dense_layers": range(self.dense_layers[0], self.dense_layers[1] + 1),
            "activation": self.activations,
            "pooling": ("average", "maximum"),
            "global_pooling": self.global_poolings,
            "learning_rate": self.learning_rates,
            "batch_size": self.batch_sizes,
            "schedule": self.schedules,
            "weight_decay": self.weight_decays,
        }.get(name, ())
