"""Public checks of user-defined architectures, theories and observables, and of samples against exact results.

    translation error = max over all translations of |net(T x) - T net(x)| / max |net(x)|

The group is finite, so this check is complete. All checks are themselves tested on cases that must fail.
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
"""Size of a sample that is compared with exact results: errors of about 1 %, from the spread of the chains."""
LARGEST_Z = 5.0
MANY = 2**19
"""Bytes of translated arrays processed at once."""
ROUNDING = 1e-9
"""Relative change of an output in double precision attributed to rounding."""


def translation_error(net: Callable[[Any], Any], x: np.ndarray, stride: int = 1) -> float:
    """The largest change of ``net(x)`` over all translations of x by multiples of ``stride``, relative to its size.

    ``net`` takes one array ``(channels, *shape)``; a network of fluxeq is evaluated in float64. An output ``(n,)`` is
    tested for invariance, an output ``(channels, *shape / stride)`` for equivariance. If the stride does not divide an
    extent, multiples below the extent are tested. Raises InputError if the output is zero everywhere, which would hide
    any error.
    """
    import jax

    from fluxeq.training.batches import in_blocks, rows_within

    shape = x.shape[1:]
    if not isinstance(stride, Integral) or stride < 1:
        raise InputError(f"stride = {stride}: must be an integer of at least 1")
    with jax.enable_x64(True):
        translations = [range(0, extent, stride) for extent in shape]
        function, is_compiled = _of_many(net)
        n = math.prod(shape if is_compiled else map(len, translations))  # one compilation serves all strides
        many = min(rows_within(MANY, x), n)
        values = np.asarray(x, dtype=np.float64)
        expected = in_blocks(function, values[None], many)[0]
        scale = float(np.abs(expected).max())
        if scale == 0 or not math.isfinite(scale):
            raise InputError(f"the network returns {scale} at most, so a translation cannot change it")
        axes, worst = tuple(range(1, x.ndim)), 0.0
        all_steps = itertools.product(*translations)
        while some := list(itertools.islice(all_steps, many)):
            moved = in_blocks(function, np.stack([np.roll(values, steps, axes) for steps in some]), many)
            there = np.broadcast_to(expected, moved.shape)
            if expected.ndim == x.ndim:
                there = np.stack([np.roll(expected, [step // stride for step in steps], axes) for steps in some])
            worst = max(worst, float(np.abs(moved - there).max()) / scale)
    return worst


def _of_many(net: Callable[[Any], Any]) -> tuple[Callable[[np.ndarray], Any], bool]:
    """A network as a function of many arrays, with weights in float64 if it is a module; and whether it is compiled."""
    import equinox as eqx
    import jax

    from fluxeq.training.evaluation import of_many

    def promoted(leaf: Any) -> Any:
        return leaf.astype(np.float64) if getattr(leaf, "dtype", None) == np.float32 else leaf

    if isinstance(net, eqx.Module):
        return partial(of_many, jax.tree.map(promoted, net)), True
    return lambda many: np.stack([np.asarray(net(x)) for x in many]), False


def z_score(chain_means: Sequence[float], expected: float) -> float:
    """Deviation of the mean over independent chains from an exact value, in standard errors.

    The error comes from the spread of the chains, independent of autocorrelation. Raises InputError for fewer than 4
    chains, or chains without spread, which give no error.
    """
    means = np.asarray(chain_means, dtype=np.float64)
    if len(means) < 4:
        raise InputError(f"{len(means)} chains: an error needs at least 4 independent ones")
    error = means.std(ddof=1) / math.sqrt(len(means))
    if error == 0:
        raise InputError("all chains have the same mean, so there is no error; sample a theory that fluctuates")
    return float((means.mean() - expected) / error)


def check_theory(theory: FluxTheory, shape: Sequence[int] = (2, 2)) -> None:
    """Raise InputError, naming the requirement, unless a theory satisfies all assumptions of fluxeq.

    It must be a frozen dataclass that can be restored from its name and couplings; its weights must be finite, of the
    right shape, and independent of the other arguments in an array; and chains on a tiny lattice must reproduce n and
    |phi|^2 from the sum over all hops.
    """
    _require(isinstance(theory, FluxTheory) and is_dataclass(theory), theory, "is not a FluxTheory dataclass")
    _require(THEORIES[theory.name] is type(theory), theory, f"is not the theory registered as {theory.name!r}")
    _require(theory_of(theory.name, theory.couplings) == theory, theory, "is not restored from its name and couplings")
    _require(theory.__dataclass_params__.frozen, theory, "is mutable: make the dataclass frozen")  # type: ignore[attr-defined]
    for d in (1, 2, 3):
        h = theory.hop_weights(d)
        what = f"hop_weights({d})"
        _require(
            isinstance(h, np.ndarray) and h.shape == (2 * d,), theory, f"{what} is not an array of shape ({2 * d},)"
        )
        _require(bool(np.isfinite(h).all() and (h > 0).all()), theory, f"{what} are not all positive and finite")
    f = np.arange(0, 402, 2)
    log_w = theory.log_site_weight(f)
    _require(isinstance(log_w, np.ndarray) and log_w.shape == f.shape, theory, "log_site_weight: wrong shape")
    _require(bool(np.isfinite(log_w).all()), theory, "log_site_weight is not finite at all even f up to 400")
    for some in (f[:3], f[3:5, None], f[::-1]):
        found, expected = theory.log_site_weight(some), log_w[some // 2]
        same = np.shape(found) == some.shape and np.allclose(found, expected, rtol=1e-12, atol=1e-12)
        _require(same, theory, "log_site_weight at one f depends on the other elements or the shape of the array")
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
    """Raise InputError, naming the requirement, unless an observable satisfies all assumptions of fluxeq.

    It must return one finite number for each configuration, independent of the others, leave the configurations
    unchanged, and not overflow: they are int8, and sums may be larger.
    """
    name = function if isinstance(function, str) else getattr(function, "__name__", "function")
    measured = OBSERVABLES[function] if isinstance(function, str) else function
    some = sample(theory, shape, 12, seed=1).configurations
    configurations = np.concatenate([some, np.sign(some) * np.int8(127), np.full_like(some, 127)])
    before = configurations.copy()
    values = one_number_each(name, measured, theory, configurations)
    _require(np.array_equal(configurations, before), name, "modifies its configurations")
    wide = one_number_each(name, measured, theory, configurations.astype(np.int64))
    _require(_are_same(values, wide), name, "overflows: int8 is too small for its sums; convert first")
    alone = [one_number_each(name, measured, theory, each[None])[0] for each in configurations]
    _require(_are_same(values, alone), name, "depends on the other configurations in the array")
    nothing = one_number_each(name, measured, theory, configurations[:0])
    _require(len(nothing) == 0, name, "returns values for an empty array")


def check_architecture(name: str, config: dict[str, Any] | None = None, shape: Sequence[int] = (6, 4)) -> None:
    """Check the requirements on an architecture, by name (or ``package.module:Class``) and fields of its config.

    The config must be restored from plain fields; equal seeds must give equal weights, and different seeds different
    ones; an unsupported lattice must raise InputError; the output must be one finite number per target, and invariant
    under all translations by multiples of ``stride``. Raises InputError, in one line, for the first violation.
    """
    from fluxeq.nets.architecture import configured
    from fluxeq.tasks.task import Target

    shape, targets = tuple(shape), (Target("first"), Target("second"))
    made = configured(name, config or {}, shape)
    again = configured(name, json.loads(json.dumps(made.model_dump(mode="json"))), shape)
    _require(again == made, name, "its config changes in a round trip through JSON")
    built: list[Any] = [made.build(len(shape), targets, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    weights = [_weights(network) for network in built]
    _require(len(weights[0]) > 0, name, "its network has no weights (floating-point arrays)")
    _require(np.array_equal(weights[0], weights[1]), name, "equal seeds give different weights; draw all from ``rng``")
    _require(not np.array_equal(weights[0], weights[2]), name, "different seeds give equal weights; draw from ``rng``")
    x = np.random.default_rng(3).integers(-2, 3, (2 * len(shape), *shape))
    output = np.asarray(built[0](x.astype(np.float32)))
    _require(output.shape == (2,), name, f"returns an array {output.shape} for two targets; must be (2,)")
    _require(bool(np.isfinite(output).all()), name, "returns numbers that are not finite")
    if made.stride is not None and not any(extent % made.stride for extent in shape):
        error = translation_error(built[0], x, made.stride)
        moved = f"translations by {made.stride} change its output by {error:.1g} of it"
        _require(error < ROUNDING, name, f"{moved}; its stride is wrong")


def _weights(network: Any) -> np.ndarray:
    """All trainable parameters of a network as one array."""
    import equinox as eqx
    from jax.flatten_util import ravel_pytree

    return np.asarray(ravel_pytree(eqx.filter(network, eqx.is_inexact_array))[0])


def _are_same(values: np.ndarray, others: Sequence[float] | np.ndarray) -> bool:
    return bool(np.allclose(values, others, rtol=1e-10, atol=1e-12))


def _require(is_kept: bool, what: object, broken: str) -> None:
    """Raise InputError unless a requirement is satisfied."""
    if not is_kept:
        raise InputError(f"{what}: {broken}")
