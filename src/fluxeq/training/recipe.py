"""How a network is trained: the settings of the optimiser, of early stopping and of augmentation."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from fluxeq.config import Frozen

Decay = Annotated[float, Field(ge=0, lt=1)]


class Recipe(Frozen):
    """AdamW with early stopping, and a polish if wanted; the defaults are the original study's."""

    epochs: PositiveInt = 1000
    patience: PositiveInt = 25
    """Epochs without a lower validation loss after which the training stops."""
    learning_rate: PositiveFloat = 1e-2
    schedule: Literal["constant", "cosine"] = "constant"
    """Cosine: the rate falls to zero along a half cosine over all ``epochs``."""
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    """Decay of the running means of the gradient and of its square."""
    amsgrad: bool = True
    polish: NonNegativeInt = 0
    """Levenberg-Marquardt steps on the whole training set after the epochs, for tasks with a squared error; a network
    too large for them is left as it is."""
    weight_decay: NonNegativeFloat = 0.0
    batch_size: PositiveInt | None = None
    """None stands for 50 below 500 configurations, else 100."""

    def batch_for(self, n: int) -> int:
        """The batch size for ``n`` configurations."""
        return min(n, self.batch_size or (50 if n < 500 else 100))

    def steps(self, n: int) -> int:
        """Most optimiser steps that a training on ``n`` configurations can take."""
        return self.epochs * (n // self.batch_for(n))
