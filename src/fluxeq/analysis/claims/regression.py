"""Claims on losses of the regression of n and |phi|^2."""

import math
from functools import partial

import numpy as np

from fluxeq.analysis.claims.claim import Claim, Verdict, verdict
from fluxeq.analysis.claims.medians import factor, losses, others, reference
from fluxeq.analysis.spread import instance_scores, shapes
from fluxeq.analysis.tables import Results, select
from fluxeq.errors import InputError
from fluxeq.lattice import shape_name
from fluxeq.theory import coupling_text

SECTION, PUBLISHED = "regression", "zhou"
"""The section of the claims, and that with the network of Zhou et al., Phys. Rev. D 100 (2019) 011501."""

CLEARLY = 10
"""R1, R3: factor by which a loss must be lower to be clearly better; the paper gives no number."""
FROM_SIZE = 500
"""R2: smallest training-set size for gains; below it, single configurations dominate."""
GAINS, HARDLY_GAINS = 10, 3
"""R2: minimum gain of EQ, and maximum gain of ST and FL; the paper gives no numbers."""
ABOUT_THREE_ORDERS = 100
"""R5: the paper says "about three orders of magnitude", read off a figure; one order of tolerance."""
TWO_ORDERS = 100
"""R6: as in the paper."""


def _beats(results: Results, *, augmentation: bool) -> Verdict:
    """EQ against all ST and FL, these with or without augmentation, on the training lattice."""
    shape, eq = shape_name(results.section(SECTION).shape), reference(results, SECTION)
    rows = results.largest(SECTION, shape=shape)
    own = losses(rows, eq)
    found = {name: losses(rows, name) for name in others(results, SECTION, augmentation=augmentation)}
    times = {name: factor(name, loss, own, least=CLEARLY) for name, loss in found.items()}
    parts = [f"{name} {np.median(loss):.2g} ({times[name]} times {eq})" for name, loss in found.items()]
    measured = f"{shape}, {rows['n_training'].iloc[0]} configurations: {eq} {np.median(own):.2g}, {', '.join(parts)}"
    return verdict(measured, list(times.values()))


def _gains(results: Results) -> Verdict:
    settings, eq = results.section(SECTION), reference(results, SECTION)
    *smaller, last = settings.n_training
    if not smaller:
        raise InputError(f"trained on {last} configurations only; a gain needs at least two sizes")
    first = next((n for n in smaller if n >= FROM_SIZE), smaller[0])
    few, many = (results.scores(SECTION, shape=shape_name(settings.shape), n_training=n) for n in (first, last))
    wanted: dict[str, dict[str, float]] = {eq: {"least": GAINS}}
    wanted |= {name: {"most": math.nextafter(HARDLY_GAINS, 0)} for name in others(results, SECTION)}
    gains = [factor(name, losses(few, name), losses(many, name), **bound) for name, bound in wanted.items()]
    least = "" if first >= FROM_SIZE else f" (no size from {FROM_SIZE} on lies below the largest)"
    listed = ", ".join(f"{gain.name} {gain}" for gain in gains)
    return verdict(f"factors gained from {first}{least} to {last} configurations: {listed}", gains)


def _beats_at_every_size(results: Results) -> Verdict:
    eq, rows = reference(results, SECTION), results.largest(SECTION)
    parts, bounds = [], []
    for name in others(results, SECTION, ("ST",)):
        tested = set(select(rows, family=name)["shape"])
        common = [shape for shape in shapes(select(rows, family=eq)) if shape in tested]
        on = {shape: select(rows, shape=shape) for shape in common}
        times = [
            factor(f"{name} on {shape}", losses(there, name), losses(there, eq), least=ABOUT_THREE_ORDERS)
            for shape, there in on.items()
        ]
        parts.append(f"{name} {', '.join(f'{shape} {ratio}' for shape, ratio in zip(on, times, strict=True))}")
        bounds += times
    return verdict(f"loss over that of {eq}: {'; '.join(parts)}", bounds)


def _beats_published_network(results: Results) -> Verdict:
    """The network of Zhou et al. is the same under both protocols."""
    results.section(PUBLISHED)
    published = results.scores(PUBLISHED)
    shape, eq = published["shape"].iloc[0], reference(results, SECTION)
    rows = select(results.largest(SECTION), family=eq, shape=shape)
    mu = np.intersect1d(rows["mu"], published["mu"])
    if not len(mu):
        raise InputError(f"{eq} and the published network were tested at no common mu on {shape}")
    own, other = (instance_scores(part[part["mu"].isin(mu)], "loss")["loss"].to_numpy() for part in (rows, published))
    times = factor("the ratio", other, own, least=TWO_ORDERS)
    measured = (
        f"{shape}, mu = {', '.join(map(coupling_text, mu))}: {eq} {np.median(own):.2g}, the network of Zhou et al. "
        f"({published['n_parameters'].iloc[0]:.2g} parameters, {published['n_training'].iloc[0]} configurations) "
        f"{np.median(other):.2g}, {times} times as much"
    )
    return verdict(measured, [times])


_claim = partial(Claim, section=SECTION)
R1 = _claim(
    "R1",
    "On the training lattice, at the largest training set, EQ predicts n and |phi|^2 far better than ST and FL.",
    "EQ clearly outperforms both (fig. 2)",
    partial(_beats, augmentation=False),
    quantity="loss over that of EQ",
)
R2 = _claim(
    "R2",
    "More training data make EQ more accurate, and ST and FL hardly so.",
    "EQ improves, the other two do not benefit significantly (fig. 2)",
    _gains,
    quantity="factor that more data divide the loss by",
)
R3 = _claim(
    "R3",
    "EQ also stays far better than ST and FL that were trained with augmented data.",
    "also the case with data augmentation (fig. 2)",
    partial(_beats, augmentation=True),
    quantity="loss over that of EQ",
)
R5 = _claim(
    "R5",
    "EQ is far more accurate than ST on every lattice.",
    "about 10^3 (fig. 4)",
    _beats_at_every_size,
    quantity="loss over that of EQ",
)
R6 = _claim(
    "R6",
    "On its own lattice, the much larger flattening network of Zhou et al. has a far higher loss than EQ.",
    "10^-6 with 10^7 parameters on 200x10, two orders above EQ",
    _beats_published_network,
    quantity="loss over that of EQ",
)
