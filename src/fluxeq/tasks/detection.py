"""Detection of open worms: the output is the logit of "open"; binary cross-entropy, accuracy of its sign."""

from typing import TYPE_CHECKING

import numpy as np

from fluxeq.tasks.task import Target, Task

if TYPE_CHECKING:
    import jax

    from fluxeq.data.ensembles import Ensemble


def is_open(ensemble: "Ensemble") -> np.ndarray:
    """1 for configurations with an open worm, else 0; ``(n, 1)``."""
    return (ensemble.n_worms > 0)[:, None]


def cross_entropy(logit: "jax.Array", label: "jax.Array") -> "jax.Array":
    """Binary cross-entropy of a logit, numerically stable."""
    import jax.numpy as jnp

    return jnp.maximum(logit, 0) - logit * label + jnp.log1p(jnp.exp(-jnp.abs(logit)))


def probability(logit: "jax.Array") -> "jax.Array":
    """The probability of a logit."""
    import jax

    return jax.nn.sigmoid(logit)


def has_right_sign(logit: "jax.Array", label: "jax.Array") -> "jax.Array":
    """Whether the more probable class is correct."""
    return (logit[0] > 0) == (label[0] > 0.5)


DETECTION = Task(
    "detection",
    (Target("open", "presence"),),
    is_open,
    cross_entropy,
    unit="cross-entropy",
    predicts="the probability that a configuration has an open worm",
    value=probability,
    correct=has_right_sign,
    counts_worms=True,
)
