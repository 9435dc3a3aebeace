"""Public checks of what others bring: networks, theories and observables, and of a sample against an oracle.

    translation error = max over all translations of |net(T x) - T net(x)| / max |net(x)|

The group is finite, so that check is complete. All checks are themselves tested on things that must fail.
"""

import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import is_dataclass
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np

from fluxeq.data.generation import sample
from fluxeq.enumeration import enumerated
from fluxeq.errors import InputError
from fluxeq.observables import OBSERVABLES, Observable, one_number_each
from fluxeq.theory import THEORIES, FluxTheory, theory_of

N_CHAINS, N_TURNS = 16, 250
"""Of a sample that is compared with an oracle: errors of about a hundredth, told by the spread of the chains."""
LARGEST_Z = 5.0
MANY = 2**19
"""Bytes of the translations of an array that are made at once."""
ROUNDING = 1e-9
"""Relative change of an output in double precision that is no change."""


def translation_error(net: Callable[[Any], Any], x: np.ndarray, stride: int = 1) -> float:
    """The largest change of ``net(x)`` over all translations of x by multiples of ``stride``, relative to its size.

    ``net`` takes one array ``(channels, *shape)``; a network of fluxeq is evaluated in float64. If it returns an array
    ``(n,)`` it is tested for invariance; if ``(channels, *shape / stride)``, for equivariance. Where the stride does
    not divide an extent, multiples below it are tried. Raises InputError if the output is zero everywhere, which would
    hide any error.
    """
    import jax

    from fluxeq.training.batches import in_blocks, rows_within

    shape = x.shape[1:]
    if not isinstance(stride, Integral) or stride < 1:
        raise InputError(f"stride = {stride}: at least 1 is needed, a whole number")
    with jax.enable_x64(True):
        function, many = _of_many(net), rows_within(MANY, x)
        values = np.asarray(x, dtype=np.float64)
        expected = in_blocks(function, values[None], many)[0]
        scale = float(np.abs(expected).max())
        if scale == 0 or not math.isfinite(scale):
            raise InputError(f"the network returns {scale} at most: nothing that a translation could change")
        axes, worst = tuple(range(1, x.ndim)), 0.0
        all_steps = itertools.product(*(range(0, extent, stride) for extent in shape))
        while some := list(itertools.islice(all_steps, many)):
            moved = in_blocks(function, np.stack([np.roll(values, steps, axes) for steps in some]), many)
            there = np.broadcast_to(expected, moved.shape)
            if expected.ndim == x.ndim:
                there = np.stack([np.roll(expected, [step // stride for step in steps], axes) for steps in some])
            worst = max(worst, float(np.abs(moved - there).max()) / scale)
    return worst


def _of_many(net: Callable[[Any], Any]) -> Callable[[np.ndarray], Any]:
    """A network as a function of many arrays; its weights, if it is a module that has any, in float64."""
    import equinox as eqx
    import jax

    from fluxeq.training.evaluation import of_many

    def promoted(leaf: Any) -> Any:
        return leaf.astype(np.float64) if getattr(leaf, "dtype", None) == np.float32 else leaf

    if isinstance(net, eqx.Module):
        return partial(of_many, jax.tree.map(promoted, net))
    return lambda many: np.stack([np.asarray(net(x)) for x in many])


def z_score(chain_means: Sequence[float], expected: float) -> float:
    """How many standard errors the mean over independent chains lies from what an oracle says.

    The spread of the chains is the error, whatever their autocorrelation. Raises InputError for fewer than 4 chains, or
    chains without any spread, from which no error can be told.
    """
    means = np.asarray(chain_means, dtype=np.float64)
    if len(means) < 4:
        raise InputError(f"{len(means)} chains: at least 4 independent ones are needed to tell an error")
    error = means.std(ddof=1) / math.sqrt(len(means))
    if error == 0:
        raise InputError("all chains have one mean: no error can be told; sample a theory that fluctuates")
    return float((means.mean() - expected) / error)


def check_theory(theory: FluxTheory, shape: Sequence[int] = (2, 2)) -> None:
    """Raise InputError, which names the law, unless a theory keeps all that fluxeq relies on.

    It is a frozen dataclass that its name and couplings give back; its weights are finite, of the right shape, and each
    the same in whatever company it is asked for; and chains on a tiny lattice have n and |phi|^2 of all sums over hops.
    """
    _require(isinstance(theory, FluxTheory) and is_dataclass(theory), theory, "is no dataclass derived from FluxTheory")
    _require(THEORIES[theory.name] is type(theory), theory, f"is not what the name {theory.name!r} stands for")
    _require(theory_of(theory.name, theory.couplings) == theory, theory, "is not given back by its name and couplings")
    _require(theory.__dataclass_params__.frozen, theory, "can be changed: let the dataclass be frozen")  # type: ignore[attr-defined]
    for d in (1, 2, 3):
        h = theory.hop_weights(d)
        what = f"hop_weights({d})"
        _require(isinstance(h, np.ndarray) and h.shape == (2 * d,), theory, f"{what} is no array of shape ({2 * d},)")
        _require(bool(np.isfinite(h).all() and (h > 0).all()), theory, f"{what} are not all positive and finite")
    f = np.arange(0, 402, 2)
    log_w = theory.log_site_weight(f)
    _require(isinstance(log_w, np.ndarray) and log_w.shape == f.shape, theory, "log_site_weight has not the shape of f")
    _require(bool(np.isfinite(log_w).all()), theory, "log_site_weight is not finite at all even f up to 400")
    for some in (f[:3], f[3:5, None], f[::-1]):
        found, expected = theory.log_site_weight(some), log_w[some // 2]
        same = np.shape(found) == some.shape and np.allclose(found, expected, rtol=1e-12, atol=1e-12)
        _require(same, theory, "log_site_weight at one f depends on the others that are asked for, or on their shape")
    theory.require_stable(len(shape))
    _check_sample(theory, shape)


def _check_sample(theory: FluxTheory, shape: Sequence[int]) -> None:
    expected = enumerated(theory, shape)
    made = sample(theory, shape, N_CHAINS * N_TURNS, chains=N_CHAINS, seed=1)
    for name, exact in (("n", expected.n), ("phi2", expected.phi2)):
        means = made.observable(name).reshape(N_TURNS, N_CHAINS).mean(axis=0)
        if np.ptp(means) < 1e-12:
            agrees, found = math.isclose(means[0], exact, abs_tol=1e-6), f"{means[0]:.6g}"
        else:
            z = z_score(list(means), exact)
            agrees, found = abs(z) < LARGEST_Z, f"{means.mean():.6g}, {z:+.1f} standard errors off"
        _require(agrees, theory, f"{name} of a sample is {found}; the sum over all hops is {exact:.6g}")


def check_observable(function: Observable | str, theory: FluxTheory, shape: Sequence[int] = (4, 3)) -> None:
    """Raise InputError, which names the law, unless an observable keeps all that fluxeq relies on.

    It returns one finite number for each configuration, the same in whatever company, leaves the configurations as they
    are, and does not wrap: theirs are small integers, int8, of which a sum may be larger.
    """
    name = function if isinstance(function, str) else getattr(function, "__name__", "function")
    measured = OBSERVABLES[function] if isinstance(function, str) else function
    some = sample(theory, shape, 12, seed=1).configurations
    configurations = np.concatenate([some, np.sign(some) * np.int8(127), np.full_like(some, 127)])
    before = configurations.copy()
    values = one_number_each(name, measured, theory, configurations)
    _require(np.array_equal(configurations, before), name, "changes the configurations that it is given")
    wide = one_number_each(name, measured, theory, configurations.astype(np.int64))
    _require(_are_same(values, wide), name, "wraps: int8 is too small for its sums; convert first")
    alone = [one_number_each(name, measured, theory, each[None])[0] for each in configurations]
    _require(_are_same(values, alone), name, "depends on the other configurations that it is given")
    nothing = one_number_each(name, measured, theory, configurations[:0])
    _require(len(nothing) == 0, name, "has values for no configurations")


def check_architecture(name: str, config: dict[str, Any] | None = None, shape: Sequence[int] = (6, 4)) -> None:
    """The laws of an architecture, by its name (or ``package.module:Class``) and the fields of its config.

    Its config comes back from plain fields; equal seeds give equal weights, and others other ones; it takes the lattice
    or refuses it with an InputError; it gives one finite number a target; and the translations that it says it keeps
    leave these alone, all of them. Raises InputError, in one line, for the first law that is broken.
    """
    from fluxeq.nets.architecture import configured
    from fluxeq.tasks.task import Target

    shape, targets = tuple(shape), (Target("first"), Target("second"))
    made = configured(name, config or {}, shape)
    again = configured(name, json.loads(json.dumps(made.model_dump(mode="json"))), shape)
    _require(again == made, name, "its config is another one after a turn through JSON")
    built = [_built(made, len(shape), targets, seed) for seed in (1, 1, 2)]
    weights = [_weights(network) for network in built]
    _require(len(weights[0]) > 0, name, "its network has no weights, arrays of floating-point numbers")
    _require(np.array_equal(weights[0], weights[1]), name, "equal seeds build other weights; draw all from ``rng``")
    _require(not np.array_equal(weights[0], weights[2]), name, "other seeds build equal weights; draw from ``rng``")
    x = np.random.default_rng(3).integers(-2, 3, (2 * len(shape), *shape))
    output = np.asarray(built[0](x.astype(np.float32)))
    _require(output.shape == (2,), name, f"returns an array {output.shape} for two targets; (2,) is needed")
    _require(bool(np.isfinite(output).all()), name, "returns numbers that are not finite")
    if made.stride is not None and not any(extent % made.stride for extent in shape):
        error = translation_error(built[0], x, made.stride)
        moved = f"translations by {made.stride} change its output by {error:.1g} of it"
        _require(error < ROUNDING, name, f"{moved}; its stride is wrong")


def _built(config: Any, d: int, targets: Sequence[Any], seed: int) -> Any:
    return config.build(d, targets, np.random.default_rng(seed))


def _weights(network: Any) -> np.ndarray:
    """All trainable numbers of a network in a row."""
    import equinox as eqx
    import jax

    leaves = jax.tree.leaves(eqx.filter(network, eqx.is_inexact_array))
    return np.concatenate([np.ravel(leaf) for leaf in leaves]) if leaves else np.empty(0)


def _are_same(values: np.ndarray, others: Sequence[float] | np.ndarray) -> bool:
    return bool(np.allclose(values, others, rtol=1e-10, atol=1e-12))


def _require(is_kept: bool, what: object, broken: str) -> None:
    """Raise InputError unless a law is kept."""
    if not is_kept:
        raise InputError(f"{what}: {broken}")
