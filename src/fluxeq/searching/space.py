"""The search space, the same for all architectures."""

from collections.abc import Collection
from operator import not_
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


class Space(Frozen):
    """Ranges and choices; the defaults span networks of about 10^2 to 10^7 parameters.

    Fields without choices are not written, for compatibility with earlier files.
    """

    layers: tuple[PositiveInt, PositiveInt] = (1, 4)
    """Minimum and maximum number of blocks."""
    kernels: Windows = (1, 2, 3)
    """Extents of kernels."""
    channels: Sizes = (4, 8, 16, 32, 64, 128)
    """Numbers of channels of a block."""
    poolings: Windows = (1, 2)
    """Extents of spatial poolings; 1 for none."""
    strides: Sizes = (2,)
    """Strides of one block of ST; FL can have one in its first block, or none."""
    activations: Activations = ("relu", "leaky_relu", "gelu", "tanh")
    """Activations, one for all hidden layers."""
    dense_layers: tuple[NonNegativeInt, NonNegativeInt] = (0, 2)
    """Minimum and maximum number of hidden dense layers."""
    widths: Sizes = (8, 16, 32, 64, 128, 256)
    """Widths of the hidden dense layers."""
    global_poolings: GlobalPoolings = Field(default=(), exclude_if=not_)
    """If empty, given by the nature of each target: average of densities, sum of numbers, maximum for presence."""
    learning_rates: tuple[Rate, ...] = Field(default=(), exclude_if=not_)
    """Learning rates, the same for all architectures; if empty, that of the recipe."""
    batch_sizes: tuple[PositiveInt, ...] = Field(default=(), exclude_if=not_)
    """Batch sizes; they do not change the number of steps, see ``Recipe.varied``."""
    schedules: tuple[Literal["constant", "cosine"], ...] = Field(default=(), exclude_if=not_)
    """Schedules of the learning rate, as in a recipe."""
    weight_decays: tuple[WeightDecay, ...] = Field(default=(), exclude_if=not_)
    """Weight decays, as in a recipe."""
    start: dict[str, Choice] = Field(default_factory=dict)
    """Choices of the first setting to try, by name; the others are drawn."""

    @field_validator("layers", "dense_layers")
    @classmethod
    def _least_and_most(cls, numbers: tuple[int, int]) -> tuple[int, int]:
        if numbers[0] > numbers[1]:
            raise ValueError("must be minimum and maximum, in this order")
        return numbers

    @model_validator(mode="after")
    def _start_in_it(self) -> Self:
        for name, value in self.start.items():
            if value not in self._choices(name):
                raise ValueError(f"start.{name} = {value!r}: not among the choices of this space")
        return self

    def _choices(self, name: str) -> Collection[Choice]:
        """The choices under a name used by ``suggestion``; empty for any other name."""
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
            **self.of_recipe,
        }.get(name, ())

    @property
    def of_recipe(self) -> dict[str, tuple[Choice, ...]]:
        """The choices of each optimiser setting; none for one that is not searched."""
        names = ("learning_rate", "batch_size", "schedule", "weight_decay")
        return {name: getattr(self, f"{name}s") for name in names}
