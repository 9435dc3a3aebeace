"""The Levenberg-Marquardt steps: refused where they raise the loss, and those of Levenberg and Marquardt otherwise."""

import jax.numpy as jnp
import numpy as np
import pytest

from fluxeq.training.levenberg_marquardt import FALL, RISE, LevenbergMarquardt


def method_of(network, arrays):
    """One for a network that acts on any number of examples."""
    return LevenbergMarquardt(network, lambda arrays, x: np.asarray(network(arrays, x)), arrays)


def test_a_step_that_raises_the_loss_is_not_taken():
    """Newton's steps to the zero of arctan diverge from 3; damping grows until one helps, and then falls."""
    method = method_of(lambda arrays, x: jnp.arctan(arrays["p"]), {"p": jnp.zeros(1)})
    examples = np.zeros((5, 1)), np.zeros((5, 1))
    fit = method.start({"p": jnp.full(1, 3.0)})._replace(damping=1e-6)
    losses, n_refused = [float(np.arctan(3.0) ** 2)], 0
    for _ in range(40):
        after, loss = method.step(fit, examples)
        refused = np.array_equal(after.parameters, fit.parameters)
        assert after.damping == pytest.approx(max(1e-12, fit.damping * (RISE if refused else FALL)))
        assert loss == pytest.approx(losses[-1]) if refused else loss < losses[-1]
        n_refused += int(refused and loss > 0.1)
        losses.append(loss)
        fit = after
    assert n_refused > 5
    assert losses[-1] < 1e-9


def linear_network(units, seed=1):
    """Outputs that are linear in parameters measured in some units, on made-up data that they cannot reach."""
    n = len(units)
    inputs, labels = np.random.default_rng(seed).normal(size=(2, 3 * n, n)).astype(np.float32)
    method = method_of(lambda arrays, x: x * units @ arrays["p"][:, None], {"p": jnp.zeros(n)})
    return method, (inputs, labels[:, :1])


def test_fewer_residuals_than_parameters_give_the_same_step():
    """The smaller equation is another way to the step of the larger one."""
    method, (x, labels) = linear_network(jnp.array([1.0, 3.0, 0.5, 2.0]))
    few = x[:3], labels[:3]
    start = method.start({"p": jnp.ones(4)})._replace(damping=0.1)
    small, _ = method.step(start, few)
    jacobian = np.asarray(few[0], dtype=np.float64) * [1.0, 3.0, 0.5, 2.0]
    residuals = jacobian.sum(axis=1) - np.asarray(few[1])[:, 0]
    square = jacobian.T @ jacobian
    expected = np.linalg.solve(square + 0.1 * square.trace() / 4 * np.eye(4), jacobian.T @ residuals)
    np.testing.assert_allclose(small.parameters, 1.0 - expected, rtol=1e-5)


def test_parameters_that_nothing_depends_on_stay():
    method, examples = linear_network(jnp.array([1.0, 0.0, 2.0]))
    fit, _ = method.step(method.start({"p": jnp.ones(3)}), examples)
    assert fit.parameters[1] == 1.0
    assert np.abs(fit.parameters - 1.0).max() > 1e-2


@pytest.mark.parametrize("scale", [1e30, np.inf, np.nan])
def test_where_there_is_no_step_it_stays(scale):
    """Huge weights: the equation has no solution in float64, or none at all."""
    method, (x, labels) = linear_network(jnp.array([1.0, 3.0, 0.5, 2.0]))
    with np.errstate(all="ignore"):
        for examples in ((x * scale, labels), (x[:3] * scale, labels[:3])):
            start = method.start({"p": jnp.ones(4)})
            fit, _ = method.step(start, examples)
            assert np.array_equal(fit.parameters, start.parameters) or np.isfinite(fit.parameters).all()
