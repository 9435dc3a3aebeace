"""Training settings: optimiser and early stopping."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt

from fluxeq.config import Frozen

Decay = Annotated[float, Field(ge=0, lt=1)]


def _float32(value: float) -> float:
    if value and not 1.2e-38 <= value <= 3.4e38:
        raise ValueError("networks are trained in float32; must be from 1.2e-38 to 3.4e38")
    return value


Rate = Annotated[float, Field(gt=0), AfterValidator(_float32)]
WeightDecay = Annotated[float, Field(ge=0), AfterValidator(_float32)]


class Recipe(Frozen):
    """AdamW with early stopping, optionally Levenberg-Marquardt steps; the defaults are those of the original study."""

    epochs: PositiveInt = 1000
    """Maximum number of passes over the training set."""
    patience: PositiveInt = 25
    """Epochs without a lower validation loss after which the training stops."""
    learning_rate: Rate = 1e-2
    """Initial learning rate of AdamW."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Cosine: the rate decays to zero along a half cosine over all ``epochs``."""
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    """Decay rates of the running means of the gradient and its square."""
    amsgrad: bool = True
    """Divide by the maximum of the running mean of the square instead of its current value."""
    levenberg_marquardt: NonNegativeInt = 0
    """Maximum number of Levenberg-Marquardt steps after the epochs, for tasks with a squared error; skipped for
    networks that are too large."""
    weight_decay: WeightDecay = 0.0
    """Weight decay of AdamW, decoupled from the gradient."""
    batch_size: PositiveInt | None = None
    """None: 50 for fewer than 500 configurations, otherwise 100."""

    def batch_for(self, n: int) -> int:
        """The batch size for ``n`` configurations."""
        return min(n, self.batch_size or (50 if n < 500 else 100))

    def steps(self, n: int) -> int:
        """Maximum number of optimiser steps of a training on ``n`` configurations."""
        return self.epochs * (n // self.batch_for(n))

    def varied(self, n: int, changes: dict[str, Any]) -> Self:
        """The recipe with changed fields, for ``n`` configurations, with no more steps than before.

        If the batch size changes, epochs and patience are adapted so that a smaller batch does not increase the budget.
        Raises pydantic's ValidationError for an invalid field or value.
        """
        changed = self.model_validate(self.model_dump() | changes if isinstance(changes, dict) else changes)
        before, after = (n // recipe.batch_for(n) for recipe in (self, changed))
        if before == after:
            return changed
        epochs, patience = (max(1, number * before // after) for number in (self.epochs, self.patience))
        return changed.model_copy(update={"epochs": epochs, "patience": patience})
