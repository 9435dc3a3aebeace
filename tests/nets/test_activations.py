"""Separately compiled activations agree with plain ones to all orders, and remain separate on a CPU."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fluxeq.nets.activations import ACTIVATIONS, activated

X, BIAS = (jnp.asarray(np.random.default_rng(seed).normal(size=size)) for seed, size in enumerate([(5, 3, 2, 4), 4]))


def plain(name, x, bias):
    return ACTIVATIONS[name](x + bias)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_and_derivatives(name):
    """Forward mode, reverse mode, and second derivatives."""
    for one in (lambda f: f, lambda f: jax.vmap(f, (0, None)), lambda f: jax.vmap(f, (1, None), 1), jax.jit):
        found, expected = (one(lambda x, bias, f=f: f(name, x, bias)) for f in (activated, plain))
        np.testing.assert_allclose(found(X, BIAS), expected(X, BIAS), rtol=1e-6, atol=1e-7)
        for mode in (jax.jacfwd, jax.jacrev):
            for got, wanted in zip(*(mode(f, (0, 1))(X[:2], BIAS) for f in (found, expected)), strict=True):
                np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-7)
    for got, wanted in zip(
        *(jax.hessian(lambda b, f=f: f(name, X, b).sum())(BIAS) for f in (activated, plain)), strict=True
    ):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


def test_a_bias_for_each_network():
    """For instances that are trained together."""
    x, biases = jnp.stack([X[0], -X[0]]), jnp.stack([BIAS, 2 * BIAS])
    found = jax.vmap(lambda x, bias: activated("gelu", x, bias))(x, biases)
    expected = jnp.stack([plain("gelu", *pair) for pair in zip(x, biases, strict=True)])
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


def test_they_stay_apart():
    """Otherwise the results are right, but slow."""
    compiled = jax.jit(jax.vmap(lambda x, bias: activated("gelu", x, bias) @ jnp.ones((4, 4)), (0, None)))
    text = compiled.lower(X, BIAS).compile().as_text()
    apart = [line for line in text.splitlines() if " call(" in line]
    assert len(apart) == 1
    assert "f32[5,24]" in apart[0]
