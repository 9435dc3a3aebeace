"""Where the second layer of the shipped ST network bends: ``python results/relu_units.py`` in the root of the project.

Writes ``results/laptop/relu_units.csv``: at each mu, how many of the units of the second convolution are positive at
all sites (but 0.1 % of them), at none, and at some, on new 60x4 configurations. Units that keep their sign are linear.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

import fluxeq
from fluxeq.files import whole
from fluxeq.nets.layers import ACTIVATIONS
from fluxeq.training.models import load_model

ROOT = Path(__file__).parent.parent
MU, SHAPE, N, SEED = (0.91, 0.93, 0.95, 0.97, 0.99, 1.01, 1.03, 1.05), (60, 4), 256, 5
RARE = 1e-3


def main() -> None:
    """Count the units at every mu."""
    network = load_model(ROOT / "models" / "regression-ST.safetensors").network
    (first, pooling), (second, _) = network.blocks

    @jax.jit
    @jax.vmap
    def before_activation(x: jax.Array) -> jax.Array:
        hidden = ACTIVATIONS[network.activation](first(jnp.moveaxis(x.astype(jnp.float32), 0, -1)))
        return second(hidden if pooling is None else pooling(hidden))

    rows = []
    for mu in MU:
        made = fluxeq.sample(fluxeq.Theory(4.01, 1, mu), SHAPE, N, chains=8, seed=SEED)
        positive = (np.asarray(before_activation(jnp.asarray(made.configurations))) > 0).mean(axis=(0, 1, 2))
        on, off = int((positive >= 1 - RARE).sum()), int((positive <= RARE).sum())
        rows.append({"mu": mu, "always_positive": on, "never_positive": off, "sometimes": len(positive) - on - off})
    with whole(ROOT / "results" / "laptop" / "relu_units.csv") as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)


if __name__ == "__main__":
    main()
