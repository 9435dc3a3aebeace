"""The claim that EQ follows the means of n and |phi|^2 at all couplings and lattices.

Prediction and truth of a test set are means over the same configurations and share their fluctuations. Their difference
therefore has a much smaller error; it is compared with the Monte Carlo error of the truth. Whether the test sets are
sampled correctly is checked separately against an independent reference.
"""

import math

import numpy as np
import pandas as pd
from scipy.stats import binom, norm

from fluxeq.analysis.claims.bound import Bound, all_hold
from fluxeq.analysis.claims.claim import Claim, Verdict
from fluxeq.analysis.claims.medians import reference
from fluxeq.analysis.spread import CONFIDENCE, Interval, best_instance
from fluxeq.analysis.tables import Results, couplings_of, select
from fluxeq.errors import InputError
from fluxeq.lattice import shape_name
from fluxeq.theory import coupling_text

SECTION = "regression"

CONSTANT_SERIES = 0.01
"""R4: tolerance if the Monte Carlo series is constant and has no error; invisible on the scale of figure 3."""
ONSET = 0.1
"""R4: fraction of n at the largest mu that defines the onset; above the noise of the vacuum, below the linear rise."""
UNLIKELY = 0.01
"""R4: probability of so many points outside their errors below which the truth is rejected."""


def _follows(results: Results) -> Verdict:
    rows = select(results.largest(SECTION), family=reference(results, SECTION))
    best = best_instance(rows, results.trained_at(SECTION))
    if best["truth"].isna().any():
        raise InputError(f"metrics.csv: truth is empty for some test sets of {best['model'].iloc[0]}")
    bounds, largest = _differences(best), shape_name(max(results.section(SECTION).test.shapes, key=math.prod))
    truth, prediction, step = _onsets(select(best, shape=largest, target="n"))
    onset = "no onset" if prediction is None else f"onset at mu = {prediction:.4f}"
    agreement, agrees = _agreement(results, best)
    measured = (
        f"mean difference to the truth within its Monte-Carlo error at {sum(b.holds is True for b in bounds)} of "
        f"{len(bounds)} points ({_bias(best)}); {largest}: {onset}, Monte Carlo {truth:.4f} (step {step:.3g}); "
        f"{agreement}"
    )
    if prediction is None or abs(prediction - truth) > step or not agrees:
        return Verdict(measured, False, bounds)
    if (holds := all_hold(bounds)) is None:
        n = sum(bound.holds is None for bound in bounds)
        measured += f"; undecided at {n} points: more test configurations decide it"
    return Verdict(measured, holds, bounds)


def _intervals(rows: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Intervals of the mean difference of prediction and truth at each point; infinite without a prediction."""
    error = norm.ppf((1 + CONFIDENCE) / 2) * rows["bias_error"].fillna(0.0)
    bias = rows["bias"].fillna(np.inf)
    return bias - error, bias + error


def _differences(rows: pd.DataFrame) -> list[Bound]:
    """Bounds on the mean differences, in units of the Monte Carlo error."""
    tolerance = rows["truth_error"].where(rows["truth_error"] > 0, CONSTANT_SERIES)
    low, high = _intervals(rows)
    names = rows["target"] + " on " + rows["shape"] + ", mu = " + rows["mu"].map(coupling_text)
    points = zip(
        names, low / tolerance, high / tolerance, rows["configurations"], rows["bias"] / tolerance, strict=True
    )
    return [Bound(name, Interval(low, high), n, -1, 1, value) for name, low, high, n, value in points]


def _bias(rows: pd.DataFrame) -> str:
    """At how many points the predictions are too high or too low on average, and the largest bias."""
    low, high = _intervals(rows)
    parts = []
    for target, of in rows.groupby("target", sort=False):
        worst = of.loc[of["bias"].abs().fillna(np.inf).idxmax()]
        couplings = couplings_of(of)
        varied = couplings.loc[worst.name, couplings.nunique() > 1]
        where = ", ".join([worst["shape"], *(f"{name} = {coupling_text(value)}" for name, value in varied.items())])
        parts.append(
            f"{target} low at {(high[of.index] < 0).sum()} and high at {(low[of.index] > 0).sum()} of {len(of)}, "
            f"{worst['bias']:.1g} at most ({where})"
        )
    return "; ".join(parts)


def _agreement(results: Results, rows: pd.DataFrame) -> tuple[str, bool]:
    """Whether the predictions agree with independent means, at points with known errors.

    A point disagrees if any target is outside, at a level expected by chance for one in 20 points.
    """
    try:
        there = results.reference(SECTION)
    except InputError:
        return "no independent truth in this run", True
    keys = [name for name in there if name not in ("value", "error", "source")]
    both = rows.merge(there[[*keys, "value", "error"]], on=keys)
    both = both[(both["truth_error"] > 0) & both["error"].notna()]  # exact means have error 0
    n_targets = rows["target"].nunique()
    distance = (both["mean"] - both["value"]).abs() / np.hypot(both["truth_error"], both["error"])
    outside = ~(distance <= norm.ppf(1 - (1 - CONFIDENCE) / n_targets / 2))  # also without a prediction
    points = outside.groupby([both[key] for key in keys if key != "target"]).any()
    most = int(binom.ppf(1 - UNLIKELY, len(points), 1 - CONFIDENCE)) if len(points) else 0
    told = f"{points.sum()} of {len(points)} points disagree with an independent truth (by chance up to {most})"
    return told, int(points.sum()) <= most


def _onsets(rows: pd.DataFrame) -> tuple[float, float | None, float]:
    """True and predicted mu of the onset of n, and the smallest step of mu. InputError if the truth has no onset."""
    rows = rows.sort_values("mu")
    mu = rows["mu"].to_numpy()
    truth = _onset(mu, rows["truth"].to_numpy())
    if truth is None:
        raise InputError("n has no onset within the mu of the largest lattice; test from the silver blaze on")
    return truth, _onset(mu, rows["mean"].to_numpy()), float(np.diff(mu).min())


def _onset(mu: np.ndarray, n: np.ndarray) -> float | None:
    """First crossing of the threshold by n, linearly interpolated; None if n starts above it or never reaches it."""
    threshold = ONSET * n[-1]
    above = np.flatnonzero(n >= threshold)
    if not n[-1] > 0 or above[0] == 0:
        return None
    i = above[0]
    return float(np.interp(threshold, n[i - 1 : i + 1], mu[i - 1 : i + 1]))


R4 = Claim(
    "R4",
    "Trained at one mu and size, EQ follows n and |phi|^2 at all mu and sizes, and finds the silver-blaze onset.",
    "very close to the true values; transition correctly predicted (fig. 3)",
    _follows,
    SECTION,
    "mean difference of prediction and truth, in Monte-Carlo errors",
)
