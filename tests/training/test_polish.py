"""The steps of the polish, on a curve on which a step without damping leads away."""

import jax.numpy as jnp
import numpy as np
import pytest

from fluxeq.training.polish import FALL, RISE, Polisher


def test_a_step_that_raises_the_loss_is_not_taken():
    """Newton's steps to the zero of arctan diverge from 3; damping grows until one helps, and then falls."""
    polisher = Polisher(lambda arrays, x: jnp.arctan(arrays["p"]), {"p": jnp.zeros(1)})
    examples = jnp.zeros((5, 1)), jnp.zeros((5, 1))
    fit = polisher.start({"p": jnp.full(1, 3.0)})._replace(damping=1e-6)
    losses, n_refused = [float(np.arctan(3.0) ** 2)], 0
    for _ in range(40):
        after, loss = polisher.step(fit, examples)
        refused = np.array_equal(after.parameters, fit.parameters)
        assert after.damping == pytest.approx(max(1e-12, fit.damping * (RISE if refused else FALL)))
        assert loss == pytest.approx(losses[-1]) if refused else loss < losses[-1]
        n_refused += int(refused and loss > 0.1)
        losses.append(loss)
        fit = after
    assert n_refused > 5
    assert losses[-1] < 1e-9
