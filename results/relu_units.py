"""Where the layers of EQ networks bend: ``python results/relu_units.py runs/laptop`` in the root of the project.

Writes ``results/laptop/relu_units.csv``, for the first instance of the winner of each search of the regression in that
run: how many units of each hidden layer are positive everywhere (but for 0.1 % of all sites and configurations),
nowhere, and at some, on new 60x4 configurations at each mu. A layer of units that keep their sign is linear.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

import fluxeq
from fluxeq.nets.layers import ACTIVATIONS
from fluxeq.nets.network import Network
from fluxeq.study.study import load_study
from fluxeq.system.files import whole
from fluxeq.training.models import load_model

ROOT = Path(__file__).parent.parent
MU, SHAPE, N, SEED = (0.91, 0.93, 0.95, 0.97, 0.99, 1.01, 1.03, 1.05), (60, 4), 256, 5
RARE = 1e-3


def main() -> None:
    """Count the units at every mu."""
    study = load_study(Path(sys.argv[1]) / "study.toml").tasks["regression"]
    models = Path(sys.argv[1]) / "models" / f"regression-EQ-{study.n_training[-1]}"
    rows = []
    for mu in MU:
        made = fluxeq.sample(fluxeq.Theory(4.01, 1, mu), SHAPE, N, chains=8, seed=SEED)
        for search in range(study.searches):
            network = load_model(models / f"EQ-{search:03d}.safetensors").network
            for layer, values in hidden(network, jnp.asarray(made.configurations)):
                share = (values > 0).reshape(-1, values.shape[-1]).mean(axis=0)
                on, off = int((share >= 1 - RARE).sum()), int((share <= RARE).sum())
                row = {"search": search + 1, "layer": layer, "mu": mu, "always_positive": on}
                rows.append({**row, "never_positive": off, "sometimes": len(share) - on - off})
    table = pd.DataFrame(rows).sort_values(["search", "layer", "mu"], kind="stable")
    with whole(ROOT / "results" / "laptop" / "relu_units.csv") as temporary:
        table.to_csv(temporary, index=False)


def hidden(network: Network, configurations: jax.Array) -> Iterator[tuple[str, np.ndarray]]:
    """What each hidden layer hands to its activation, ``(n, ..., units)``, by the name of the layer."""
    activation = ACTIVATIONS[network.activation]
    x = jnp.moveaxis(configurations.astype(jnp.float32), 1, -1)
    for i, (convolution, pooling) in enumerate(network.blocks):
        x = jax.vmap(convolution)(x)
        yield f"convolution {i + 1}", np.asarray(x)
        x = activation(x)
        if pooling is not None:
            x = jax.vmap(pooling)(x)
    x = jax.vmap(network.readout)(x)
    for i, layer in enumerate(network.dense[:-1]):
        x = jax.vmap(layer)(x)
        yield f"dense {i + 1}", np.asarray(x)
        x = activation(x)


if __name__ == "__main__":
    main()
