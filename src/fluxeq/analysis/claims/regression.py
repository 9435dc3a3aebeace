"""The claims on the regression of n and |phi|^2."""

from functools import partial

import numpy as np
import pandas as pd

from fluxeq.analysis.claims.claim import Claim, Verdict
from fluxeq.analysis.claims.medians import compared, factor, losses, over_instances
from fluxeq.analysis.spread import best_instance, instance_scores
from fluxeq.analysis.tables import Results, n_sites, select
from fluxeq.errors import InputError
from fluxeq.study.values import named
from fluxeq.theory import written

SECTION, PUBLISHED = "regression", "zhou"
"""The section of the claims, and that of the network of Zhou et al., Phys. Rev. D 100 (2019) 011501."""

CLEARLY = 10
"""R1, R3: how many times lower a loss must be to be clearly better (table of the design)."""
FROM_SIZE = 500
"""R2: the training-set size from which gains are counted; below it, luck with single configurations decides."""
GAINS, HARDLY_GAINS = 10, 3
"""R2: the factor that EQ gains at least, and the one that ST and FL stay below (table of the design)."""
CONSTANT_SERIES = 0.01
"""R4: tolerance where the Monte-Carlo series is constant and has no error; on the scale of figure 3, invisible."""
ONSET = 0.1
"""R4: the share of n at the largest mu that marks the onset; above the noise of the vacuum, below the linear rise."""
ABOUT_THREE_ORDERS = 100
"""R5: the paper says "about three orders of magnitude", read off a figure; one order of slack."""
TWO_ORDERS = 100
"""R6: as in the paper."""


def _beats(results: Results, *, augmentation: bool) -> Verdict:
    """EQ against ST and FL, the latter with or without augmentation, on the training lattice."""
    shape = named(results.section(SECTION).shape)
    rows = compared(results, SECTION, shape=shape)
    eq = losses(rows, "EQ")
    others = {name: losses(rows, name, augmentation=augmentation) for name in ("ST", "FL")}
    times = {name: factor(found, eq) for name, found in others.items()}
    augmented = "augmented " if augmentation else ""
    parts = [f"{augmented}{name} {np.median(found):.2g} ({times[name]} times EQ)" for name, found in others.items()]
    n = rows["n_training"].iloc[0]
    measured = f"{shape}, {n} configurations: EQ {np.median(eq):.2g}, {', '.join(parts)}"
    return Verdict(measured, all(found.value >= CLEARLY for found in times.values()))


def _gains(results: Results) -> Verdict:
    settings = results.section(SECTION)
    *smaller, last = settings.n_training
    if not smaller:
        raise InputError(f"trained on {last} configurations only; a gain needs at least two sizes")
    first = next((n for n in smaller if n >= FROM_SIZE), smaller[0])
    rows = results.first_families(SECTION, results.scores(SECTION, shape=named(settings.shape)))
    gains = {}
    for name in ("EQ", "ST", "FL"):
        few, many = (losses(select(rows, n_training=n), name) for n in (first, last))
        gains[name] = factor(few, many)
    measured = ", ".join(f"{name} {gain}" for name, gain in gains.items())
    least = "" if first >= FROM_SIZE else f" (no size from {FROM_SIZE} on lies below the largest)"
    hardly = all(gains[name].value < HARDLY_GAINS for name in ("ST", "FL"))
    holds = gains["EQ"].value >= GAINS and hardly
    return Verdict(f"factors gained from {first}{least} to {last} configurations: {measured}", holds)


def _follows(results: Results) -> Verdict:
    rows = compared(results, SECTION, architecture="EQ", augmentation=False)
    best = best_instance(rows, results.trained_at(SECTION))
    ratios, largest = _deviations(best), max(best["shape"].unique(), key=n_sites)
    within = int(np.sum(ratios <= 1))
    truth, prediction, step = _onsets(select(best, shape=largest, target="n"))
    seen = "no onset" if prediction is None else f"onset at mu = {prediction:.4f}"
    measured = (
        f"{within} of {len(ratios)} points within the Monte-Carlo error, the worst at {ratios.max():.3g} times it; "
        f"{largest}: {seen}, Monte Carlo {truth:.4f} (step {step:.3g})"
    )
    return Verdict(measured, within == len(ratios) and prediction is not None and abs(prediction - truth) <= step)


def _deviations(rows: pd.DataFrame) -> np.ndarray:
    """|mean prediction - true mean| in units of its tolerance at each point; infinite if nothing was predicted."""
    truth, error = rows["truth"], rows["truth_error"]
    if truth.isna().any():
        raise InputError(f"metrics.csv: truth is empty for some test sets of {rows['model'].iloc[0]}")
    tolerance = error.where(error > 0, CONSTANT_SERIES)
    return ((rows["mean"] - truth).abs() / tolerance).fillna(np.inf).to_numpy()


def _onsets(rows: pd.DataFrame) -> tuple[float, float | None, float]:
    """The mu where n sets in, true and predicted, and the smallest step of mu. InputError if the truth has no onset."""
    rows = rows.sort_values("mu")
    mu = rows["mu"].to_numpy()
    truth = _onset(mu, rows["truth"].to_numpy())
    if truth is None:
        raise InputError("n has no onset within the mu of the largest lattice; test from the silver blaze on")
    return truth, _onset(mu, rows["mean"].to_numpy()), float(np.diff(mu).min())


def _onset(mu: np.ndarray, n: np.ndarray) -> float | None:
    """Where n first crosses its threshold, by linear interpolation; None if it is above it from the start, or never."""
    threshold = ONSET * n[-1]
    above = np.flatnonzero(n >= threshold)
    if not n[-1] > 0 or above[0] == 0:
        return None
    i = above[0]
    return float(np.interp(threshold, n[i - 1 : i + 1], mu[i - 1 : i + 1]))


def _beats_at_every_size(results: Results) -> Verdict:
    rows = compared(results, SECTION, augmentation=False)
    shapes = over_instances(rows, "loss", "shape", ("EQ", "ST")).medians.index
    on = {shape: select(rows, shape=shape) for shape in shapes}
    times = {shape: factor(losses(there, "ST"), losses(there, "EQ")) for shape, there in on.items()}
    listed = ", ".join(f"{shape} {found}" for shape, found in times.items())
    holds = all(found.value >= ABOUT_THREE_ORDERS for found in times.values())
    return Verdict(f"loss of ST over that of EQ: {listed}", holds)


def _beats_published_network(results: Results) -> Verdict:
    results.section(PUBLISHED)
    published = results.scores(PUBLISHED)
    rows = compared(results, SECTION, architecture="EQ", augmentation=False)
    shape = published["shape"].iloc[0]
    rows = select(rows, shape=shape)
    mu = np.intersect1d(rows["mu"], published["mu"])
    if not len(mu):
        raise InputError(f"EQ and the published network were tested at no common mu on {shape}")
    same = [part[part["mu"].isin(mu)] for part in (rows, published)]
    eq, zhou = (instance_scores(part, "loss")["loss"].to_numpy() for part in same)
    times = factor(zhou, eq)
    measured = (
        f"{shape}, mu = {', '.join(map(written, mu))}: EQ {np.median(eq):.2g}, the network of Zhou et al. "
        f"({published['n_parameters'].iloc[0]:.2g} parameters, {published['n_training'].iloc[0]} configurations) "
        f"{np.median(zhou):.2g}, {times} times as much"
    )
    return Verdict(measured, times.value >= TWO_ORDERS)


_claim = partial(Claim, section=SECTION)
R1 = _claim(
    "R1",
    "On the training lattice, at the largest training set, EQ predicts n and |phi|^2 far better than ST and FL.",
    "EQ clearly outperforms both (fig. 2)",
    partial(_beats, augmentation=False),
)
R2 = _claim(
    "R2",
    "More training data make EQ more accurate, and ST and FL hardly so.",
    "EQ improves, the other two do not benefit significantly (fig. 2)",
    _gains,
)
R3 = _claim(
    "R3",
    "EQ also stays far better than ST and FL that were trained with augmented data.",
    "also the case with data augmentation (fig. 2)",
    partial(_beats, augmentation=True),
)
R4 = _claim(
    "R4",
    "Trained at one mu and size, EQ follows n and |phi|^2 at all mu and sizes, and finds the silver-blaze onset.",
    "very close to the true values; transition correctly predicted (fig. 3)",
    _follows,
)
R5 = _claim("R5", "EQ is far more accurate than ST on every lattice.", "about 10^3 (fig. 4)", _beats_at_every_size)
R6 = _claim(
    "R6",
    "On its own lattice, the much larger flattening network of Zhou et al. has a far higher loss than EQ.",
    "10^-6 with 10^7 parameters on 200x10, two orders above EQ",
    _beats_published_network,
)
