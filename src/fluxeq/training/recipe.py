"""How a network is trained: the settings of the optimiser, of early stopping and of augmentation."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt

from fluxeq.config import Frozen

Decay = Annotated[float, Field(ge=0, lt=1)]


def _float32(value: float) -> float:
    if value and not 1.2e-38 <= value <= 3.4e38:
        raise ValueError("networks learn in float32, whose numbers go from 1.2e-38 to 3.4e38")
    return value


Rate = Annotated[float, Field(gt=0), AfterValidator(_float32)]
WeightDecay = Annotated[float, Field(ge=0), AfterValidator(_float32)]


class Recipe(Frozen):
    """AdamW with early stopping, and Levenberg-Marquardt steps if wanted; the defaults are the original study's."""

    epochs: PositiveInt = 1000
    """At most so many passes over the training set."""
    patience: PositiveInt = 25
    """Epochs without a lower validation loss after which the training stops."""
    learning_rate: Rate = 1e-2
    """Of AdamW, at the start."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Cosine: the rate falls to zero along a half cosine over all ``epochs``."""
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    """Decay of the running means of the gradient and of its square."""
    amsgrad: bool = True
    """Divide by the largest running mean of the square so far, not by the present one."""
    levenberg_marquardt: NonNegativeInt = 0
    """Levenberg-Marquardt steps after the epochs, at most so many, for tasks with a squared error; a network too large
    for them is left as it is."""
    weight_decay: WeightDecay = 0.0
    """Of AdamW, decoupled from the gradient."""
    batch_size: PositiveInt | None = None
    """None stands for 50 below 500 configurations, else 100."""

    def batch_for(self, n: int) -> int:
        """The batch size for ``n`` configurations."""
        return min(n, self.batch_size or (50 if n < 500 else 100))

    def steps(self, n: int) -> int:
        """Most optimiser steps that a training on ``n`` configurations can take."""
        return self.epochs * (n // self.batch_for(n))

    def varied(self, n: int, changes: dict[str, Any]) -> Self:
        """The recipe with other fields, for ``n`` configurations, at no more steps than before.

        Where the batch changes, the epochs and the patience change against it, so that a small batch is no larger
        budget. Raises pydantic's ValidationError for a field or value that no recipe has.
        """
        changed = self.model_validate(self.model_dump() | changes if isinstance(changes, dict) else changes)
        before, after = (n // recipe.batch_for(n) for recipe in (self, changed))
        if before == after:
            return changed
        epochs, patience = (max(1, number * before // after) for number in (self.epochs, self.patience))
        return changed.model_copy(update={"epochs": epochs, "patience": patience})
