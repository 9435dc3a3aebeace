"""Levenberg-Marquardt steps: rejected if they raise the objective, and otherwise as documented."""

import jax.numpy as jnp
import numpy as np
import pytest

from fluxeq.training.levenberg_marquardt import FALL, RISE, LevenbergMarquardt


def method_of(network, arrays, device="cpu"):
    """The method for a network that acts on any number of examples."""
    return LevenbergMarquardt(network, lambda arrays, x: np.asarray(network(arrays, x)), arrays, device)


def test_a_step_that_raises_the_loss_is_not_taken():
    """Newton steps to the zero of arctan diverge from 3; damping increases until a step helps, and then decreases."""
    method = method_of(lambda arrays, x: jnp.arctan(arrays["p"]), {"p": jnp.zeros(1)})
    examples = np.zeros((5, 1)), np.zeros((5, 1))
    fit = method.start({"p": jnp.full(1, 3.0)}, 5, 1)._replace(damping=1e-6)
    losses, n_refused = [float(np.arctan(3.0) ** 2)], 0
    for _ in range(40):
        after, loss = method.step(fit, examples, 0.0)
        refused = np.array_equal(after.parameters, fit.parameters)
        assert after.damping == pytest.approx(max(1e-12, fit.damping * (RISE if refused else FALL)))
        assert loss == pytest.approx(losses[-1]) if refused else loss < losses[-1]
        n_refused += int(refused and loss > 0.1)
        losses.append(loss)
        fit = after
    assert n_refused > 5
    assert losses[-1] < 1e-9


def linear_network(units, seed=1, device="cpu"):
    """Outputs linear in parameters with some units, on random data that they cannot fit."""
    n = len(units)
    inputs, labels = np.random.default_rng(seed).normal(size=(2, 3 * n, n)).astype(np.float32)
    method = method_of(lambda arrays, x: x * units @ arrays["p"][:, None], {"p": jnp.zeros(n)}, device)
    return method, (inputs, labels[:, :1])


@pytest.mark.parametrize(("n", "largest"), [(3, 12), (12, 48), (12, 47), (12, 4)])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_all_ways_give_the_same_step(n, largest, device, monkeypatch):
    """Fewer residuals than parameters, full Jacobian in memory, in parts; in the blocks of a device; with a ridge."""
    monkeypatch.setattr("fluxeq.training.levenberg_marquardt.LARGEST_JACOBIAN", largest)
    method, (x, labels) = linear_network(jnp.array([1.0, 3.0, 0.5, 2.0]), device=device)
    few = x[:n], labels[:n]
    start = method.start({"p": jnp.full(4, 2.0)}, n, 1)._replace(damping=0.1)
    assert start.variance == 4.0
    jacobian = np.asarray(few[0], dtype=np.float64) * [1.0, 3.0, 0.5, 2.0]
    residuals = 2 * jacobian.sum(axis=1) - np.asarray(few[1])[:, 0]
    square = jacobian.T @ jacobian
    for ridge in (0.0, 0.7):
        found, _ = method.step(start, few, 4.0 * ridge)
        matrix = square + (ridge + 0.1 * square.trace() / 4) * np.eye(4)
        expected = np.linalg.solve(matrix, jacobian.T @ residuals + ridge * 2)
        np.testing.assert_allclose(found.parameters, 2.0 - expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("n", "largest"), [(1, 6), (6, 36), (6, 12)])
def test_steps_bend_with_what_they_follow(n, largest, monkeypatch):
    """An exponential: the second part of a step compensates the curvature along the first."""
    monkeypatch.setattr("fluxeq.training.levenberg_marquardt.LARGEST_JACOBIAN", largest)
    method = method_of(lambda arrays, x: x * jnp.exp(arrays["p"][:2]), {"p": jnp.zeros(3)})
    examples = np.ones((n, 1), np.float32), np.zeros((n, 2))
    for damping in (3.0, 0.3):
        fit, _ = method.step(method.start({"p": jnp.zeros(3)}, n, 2)._replace(damping=damping), examples, 0.0)
        shrunk = 1 / (1 + damping * 2 / 3)
        bent = np.exp(-shrunk) - 1 + shrunk
        np.testing.assert_allclose(fit.parameters, [-shrunk - bent * shrunk] * 2 + [0.0], rtol=1e-5)


def test_parameters_that_nothing_depends_on_shrink_and_only_by_the_ridge():
    method, examples = linear_network(jnp.array([1.0, 0.0, 2.0]))
    start = method.start({"p": jnp.ones(3)}, 9, 1)
    fit, _ = method.step(start, examples, 0.0)
    assert fit.parameters[1] == 1.0
    assert np.abs(fit.parameters - 1.0).max() > 1e-2
    fit, _ = method.step(start, examples, 1.0)
    assert 0 < fit.parameters[1] < 1.0


def ended(method, fit, examples, noise, n_steps=80):
    """The parameters after many steps; the ridge is computed from the loss on other data."""
    for _ in range(n_steps):
        fit, _ = method.step(fit, examples, noise(fit.parameters))
    return fit.parameters


def test_what_the_data_hardly_fix_does_not_run_away():
    """Noisy labels, and a parameter with an effect of a thousandth of the noise: without a ridge it moves far."""
    units = np.array([1.0, 1e-4])
    method, (x, noise) = linear_network(jnp.array(units), seed=5)
    labels = x[:, :1] + 0.1 * noise
    start = method.start({"p": jnp.full(2, 0.5)}, len(x), 1)
    free, held = (ended(method, start, (x, labels), lambda parameters, loss=loss: loss) for loss in (0.0, 0.01))
    assert abs(free[1]) > 20
    assert abs(held[1]) < 0.5
    assert held[0] == pytest.approx(1.0, abs=0.1)


def test_the_ridge_does_not_limit_what_can_be_reached():
    """Labels without noise: the ridge decreases with the loss, and the solution is exact to float32."""
    method, (x, _) = linear_network(jnp.array([1.0, 0.3, 2.0]))
    truth = np.array([1.0, -2.0, 0.5])
    labels = (x * [1.0, 0.3, 2.0]) @ truth[:, None]

    def loss(parameters):
        return np.mean(((x * [1.0, 0.3, 2.0]) @ (parameters - truth)) ** 2)

    found = ended(method, method.start({"p": jnp.ones(3)}, len(x), 1), (x, labels), loss)
    np.testing.assert_allclose(found, truth, rtol=1e-5)


def test_a_loss_that_is_known_is_not_computed_again():
    """It is the same number; on other configurations it is unknown."""
    method, (x, labels) = linear_network(jnp.array([1.0, 3.0, 0.5, 2.0]))
    after, loss = method.step(method.start({"p": jnp.full(4, 2.0)}, 6, 1), (x[:6], labels[:6]), 0.0)
    assert after.loss == loss
    again, same = (method.step(fit, (x[:6], labels[:6]), 0.0) for fit in (after, after.on_others()))
    np.testing.assert_array_equal(again[0].parameters, same[0].parameters)
    expected = np.mean((x[6:] * [1.0, 3.0, 0.5, 2.0] @ after.parameters - labels[6:, 0]) ** 2)
    assert method._near(after.on_others(), (x[6:], labels[6:])).loss == pytest.approx(expected)


def test_it_begins_with_two_residuals_a_parameter():
    method = method_of(lambda arrays, x: x, {"p": jnp.ones(7)})
    assert [method.start({"p": jnp.ones(7)}, n, 3).n for n in (4, 5, 100)] == [4, 5, 5]
    start = method.start({"p": jnp.ones(7)}, 100, 3)._replace(linear="of fewer", loss=0.5)
    assert start.grown(100)[2:] == (10, start.damping, None, None)
    assert start.grown(7).n == 7


@pytest.mark.parametrize("scale", [1e30, np.inf, np.nan])
def test_where_there_is_no_step_it_stays(scale):
    """Huge weights: the equation has no solution in float64, or none at all."""
    method, (x, labels) = linear_network(jnp.array([1.0, 3.0, 0.5, 2.0]))
    with np.errstate(all="ignore"):
        for examples in ((x * scale, labels), (x[:3] * scale, labels[:3])):
            start = method.start({"p": jnp.ones(4)}, len(examples[0]), 1)
            fit, _ = method.step(start, examples, 1.0)
            stays = np.array_equal(fit.parameters, start.parameters)
            assert stays or (np.isfinite(scale) and np.isfinite(fit.parameters).all())
