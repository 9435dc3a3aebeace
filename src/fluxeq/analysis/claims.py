"""The claims of the paper, in its order, judged on the tables of a run.

    loss of an architecture     = median over its instances of the mean loss over all configurations of the test sets
    accuracy of an architecture = likewise
    [a ... b]                   = 95 % of the bootstrap over instances

Every threshold is a constant below, fixed beforehand, with its reason; none is a setting. Verified on a made-up run on
which all claims hold, for each claim on one that violates it, and on one that lacks its data.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from fluxeq.analysis import tables
from fluxeq.analysis.spread import (
    Interval,
    best_instance,
    instance_scores,
    interval,
    median,
    ratio_of_medians,
    sizes,
    spread,
)
from fluxeq.analysis.tables import n_sites, select
from fluxeq.errors import InputError
from fluxeq.system.files import write_json
from fluxeq.theory import written

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
CLOSE = 0.05
"""D1, D2: difference of accuracies that is small; some times the statistical error of 1000 configurations."""
SUCCESSFUL = 0.9
"""D4: accuracy of a model that has learned the task; what the others react to says nothing about detection."""
ONE_SIDED = 0.5
"""D4: selectivity of a model that reacts to one violation only: one response is at least three times the other."""
GOOD, FAILS = 0.95, 0.8
"""C1: accuracy of a good performance, and one that is not: one count in five is wrong."""
SMALL_NUMBERS = (1, 2, 3)
"""C1: small numbers of worms: above the 0, and clearly below the 5, of the training set."""
SMALLEST_NETWORK, LARGEST_NETWORK = 1e2, 1e5
"""S1: as in the paper."""


@dataclass(frozen=True)
class Claim:
    """A statement of the paper and what this run says of it."""

    id: str
    statement: str
    paper: str
    """The paper's number or words."""
    measured: str
    """The numbers of this run; where it lacks them, which."""
    holds: bool | None
    """None only if the run lacks the data for it."""


class Evidence(NamedTuple):
    """A run folder and its table of scores."""

    run: Path
    metrics: pd.DataFrame

    def final(self, task: str, **conditions: Any) -> pd.DataFrame:
        """Rows of the networks of the largest training set. Raises InputError if there are none."""
        return tables.final(self.run, self.metrics, task, **conditions)


class OverInstances(NamedTuple):
    """Medians over instances and their intervals, in words: a row for each place, a column for each architecture."""

    medians: pd.DataFrame
    intervals: pd.DataFrame

    def __str__(self) -> str:
        """The places, then the medians of each architecture with their intervals."""
        listed = self.medians.map("{:.4g}".format) + self.intervals
        values = (f"{architecture} {', '.join(listed[architecture])}" for architecture in listed)
        places = (written(place) if isinstance(place, float) else str(place) for place in listed.index)
        return f"{', '.join(places)}: {'; '.join(values)}"


class Verdict(NamedTuple):
    """What was measured, in words, and whether the claim holds."""

    measured: str
    holds: bool


class Rule(NamedTuple):
    """How one claim is judged; ``judge`` raises InputError if the run lacks the data."""

    id: str
    statement: str
    paper: str
    judge: Callable[[Evidence], Verdict]


def judge(run: Path) -> list[Claim]:
    """All claims in the order of the paper; those that the run has no numbers for are open."""
    try:
        evidence = Evidence(run, tables.metrics(run))
    except InputError as error:
        return [_open(rule, run, error) for rule in RULES]
    return [_judged(rule, evidence) for rule in RULES]


def write_claims(run: Path) -> list[Claim]:
    """Judge all claims and write them to ``claims.json`` of the run."""
    claims = judge(run)
    write_json(run / "claims.json", [asdict(claim) for claim in claims])
    return claims


def _judged(rule: Rule, evidence: Evidence) -> Claim:
    try:
        measured, holds = rule.judge(evidence)
    except InputError as error:
        return _open(rule, evidence.run, error)
    return Claim(rule.id, rule.statement, rule.paper, measured, bool(holds))


def _open(rule: Rule, run: Path, error: InputError) -> Claim:
    """A claim that the run lacks the data for."""
    return Claim(rule.id, rule.statement, rule.paper, f"not measured: {error}".replace(f"{run}/", ""), None)


def _beats_without_augmentation(evidence: Evidence) -> Verdict:
    return _beats(evidence, augmentation=False)


def _beats_with_augmentation(evidence: Evidence) -> Verdict:
    return _beats(evidence, augmentation=True)


def _beats(evidence: Evidence, *, augmentation: bool) -> Verdict:
    """EQ against ST and FL, the latter with or without augmentation, on the training lattice."""
    shape = tables.training_shape(evidence.run, "regression")
    rows = evidence.final("regression", shape=shape)
    eq = _losses(rows, "EQ")
    others = {name: _losses(rows, name, augmentation=augmentation) for name in ("ST", "FL")}
    times = {name: _factor(losses, eq) for name, losses in others.items()}
    augmented = "augmented " if augmentation else ""
    parts = [f"{augmented}{name} {np.median(losses):.2g} ({times[name]} times EQ)" for name, losses in others.items()]
    n = rows["n_training"].iloc[0]
    measured = f"{shape}, {n} configurations: EQ {np.median(eq):.2g}, {', '.join(parts)}"
    return Verdict(measured, _all_at_least(times, CLEARLY))


def _gains(evidence: Evidence) -> Verdict:
    shape = tables.training_shape(evidence.run, "regression")
    rows = select(evidence.metrics, group="study", task="regression", shape=shape)
    *sizes, last = tables.training_sizes(evidence.run)
    if not sizes:
        raise InputError(f"trained on {last} configurations only; a gain needs at least two sizes")
    first = next((n for n in sizes if n >= FROM_SIZE), sizes[0])
    gains = {}
    for name in ("EQ", "ST", "FL"):
        few, many = (_losses(select(rows, n_training=n), name) for n in (first, last))
        gains[name] = _factor(few, many)
    measured = ", ".join(f"{name} {gain}" for name, gain in gains.items())
    least = "" if first >= FROM_SIZE else f" (no size from {FROM_SIZE} on lies below the largest)"
    hardly = all(gains[name].value < HARDLY_GAINS for name in ("ST", "FL"))
    holds = gains["EQ"].value >= GAINS and hardly
    return Verdict(f"factors gained from {first}{least} to {last} configurations: {measured}", holds)


def _follows(evidence: Evidence) -> Verdict:
    rows = evidence.final("regression", architecture="EQ", augmentation=False)
    shape, mu = tables.training_shape(evidence.run, "regression"), tables.training_mu(evidence.run)
    best = best_instance(rows, shape, mu)
    ratios = np.concatenate([_deviations(best, quantity) for quantity in ("n", "phi2")])
    within, largest = int(np.sum(ratios <= 1)), max(best["shape"].unique(), key=n_sites)
    truth, prediction, step = _onsets(best[best["shape"] == largest])
    seen = "no onset" if prediction is None else f"onset at mu = {prediction:.4f}"
    measured = (
        f"{within} of {len(ratios)} points within the Monte-Carlo error, the worst at {ratios.max():.3g} times it; "
        f"{largest}: {seen}, Monte Carlo {truth:.4f} (step {step:.3g})"
    )
    return Verdict(measured, within == len(ratios) and prediction is not None and abs(prediction - truth) <= step)


def _deviations(rows: pd.DataFrame, quantity: str) -> np.ndarray:
    """|mean prediction - true mean| in units of its tolerance at each point; infinite if nothing was predicted."""
    truth, error = rows[f"true_{quantity}"], rows[f"true_{quantity}_error"]
    if truth.isna().any():
        raise InputError(f"metrics.csv: true_{quantity} is empty for some test sets of {rows['model'].iloc[0]}")
    tolerance = error.where(error > 0, CONSTANT_SERIES)
    return ((rows[f"mean_{quantity}"] - truth).abs() / tolerance).fillna(np.inf).to_numpy()


def _onsets(rows: pd.DataFrame) -> tuple[float, float | None, float]:
    """The mu where n sets in, true and predicted, and the smallest step of mu. InputError if the truth has no onset."""
    rows = rows.sort_values("mu")
    mu = rows["mu"].to_numpy()
    truth = _onset(mu, rows["true_n"].to_numpy())
    if truth is None:
        raise InputError("n has no onset within the mu of the largest lattice; test from the silver blaze on")
    return truth, _onset(mu, rows["mean_n"].to_numpy()), float(np.diff(mu).min())


def _onset(mu: np.ndarray, n: np.ndarray) -> float | None:
    """Where n first crosses its threshold, by linear interpolation; None if it is above it from the start, or never."""
    threshold = ONSET * n[-1]
    above = np.flatnonzero(n >= threshold)
    if not n[-1] > 0 or above[0] == 0:
        return None
    i = above[0]
    return float(np.interp(threshold, n[i - 1 : i + 1], mu[i - 1 : i + 1]))


def _beats_at_every_size(evidence: Evidence) -> Verdict:
    rows = evidence.final("regression", augmentation=False)
    shapes = _over_instances(rows, "loss", "shape", ("EQ", "ST")).medians.index
    on = {shape: select(rows, shape=shape) for shape in shapes}
    times = {shape: _factor(_losses(there, "ST"), _losses(there, "EQ")) for shape, there in on.items()}
    listed = ", ".join(f"{shape} {factor}" for shape, factor in times.items())
    return Verdict(f"loss of ST over that of EQ: {listed}", _all_at_least(times, ABOUT_THREE_ORDERS))


def _beats_published_network(evidence: Evidence) -> Verdict:
    published = select(evidence.metrics, group="zhou")
    rows = evidence.final("regression", architecture="EQ", augmentation=False)
    shape = published["shape"].iloc[0]
    rows = select(rows, shape=shape)
    mu = np.intersect1d(rows["mu"], published["mu"])
    same = [part[part["mu"].isin(mu)] for part in (rows, published)]
    if not len(mu):
        raise InputError(f"EQ and the published network were tested at no common mu on {shape}")
    eq, zhou = (instance_scores(part, "loss")["loss"].to_numpy() for part in same)
    times = _factor(zhou, eq)
    measured = (
        f"{shape}, mu = {', '.join(map(written, mu))}: EQ {np.median(eq):.2g}, the network of Zhou et al. "
        f"({published['n_parameters'].iloc[0]:.2g} parameters, {published['n_training'].iloc[0]} configurations) "
        f"{np.median(zhou):.2g}, {times} times as much"
    )
    return Verdict(measured, times.value >= TWO_ORDERS)


def _ranks_detection(evidence: Evidence) -> Verdict:
    found = _detection_over_mu(evidence, ("EQ", "ST", "FL"))
    eq, st, fl = (found.medians[name] for name in ("EQ", "ST", "FL"))
    holds = (fl < eq).all() and ((st - eq).abs() <= CLOSE).all()
    return Verdict(f"median accuracy at mu = {found}", holds)


def _ignores_mu(evidence: Evidence) -> Verdict:
    found = _detection_over_mu(evidence, ("EQ",))
    accuracy = found.medians["EQ"]
    if len(accuracy) < 2:
        raise InputError("detection was tested at one mu only; a spread needs at least two")
    difference = accuracy.max() - accuracy.min()
    return Verdict(f"median accuracy at mu = {found}; a spread of {difference:.3g}", difference <= CLOSE)


def _detection_over_mu(evidence: Evidence, architectures: Sequence[str]) -> OverInstances:
    shape = tables.training_shape(evidence.run, "detection")
    rows = evidence.final("detection", augmentation=False, shape=shape)
    return _over_instances(rows, "accuracy", "mu", architectures)


def _suffers_from_size(evidence: Evidence) -> Verdict:
    rows = evidence.final("detection", augmentation=False)
    found = _over_instances(rows, "accuracy", "shape", ("EQ", "ST"))
    if len(found.medians) < 2:
        raise InputError("EQ and ST were tested on one common lattice only; sizes need at least two")
    smallest, largest = found.medians.iloc[0], found.medians.iloc[-1]
    return Verdict(f"median accuracy on {found}", (largest < smallest).all())


def _is_one_sided(evidence: Evidence) -> Verdict:
    responses = tables.measurement(evidence.run, "responses")
    successful = responses[responses["accuracy"] >= SUCCESSFUL]
    parts, medians = [], []
    for name in ("EQ", "ST"):
        # A model that responds to neither (0 / 0) is not one-sided.
        found = successful.loc[successful["architecture"] == name, "selectivity"].fillna(0.0)
        if found.empty:
            parts.append(f"no {name} model reaches an accuracy of {SUCCESSFUL}")
            continue
        medians.append(float(found.median()))
        ends = _in_brackets(interval(median, found.to_numpy()))
        parts.append(f"{name} {medians[-1]:.3g}{ends} over {len(found)} models")
    if not medians:
        raise InputError("; ".join(parts))
    return Verdict(f"median selectivity: {'; '.join(parts)}", min(medians) >= ONE_SIDED)


def _counts_every_number(evidence: Evidence) -> Verdict:
    rows = evidence.final("counting", augmentation=False)
    rows = select(rows, shape=tables.shapes(rows)[0])
    found = _over_instances(rows, "accuracy", "n_worms", ("EQ", "ST", "FL"))
    small = found.medians.loc[found.medians.index.isin(SMALL_NUMBERS), ["ST", "FL"]]
    if small.empty:
        raise InputError(f"counting was not tested with {', '.join(map(str, SMALL_NUMBERS))} worms")
    holds = (found.medians["EQ"] >= GOOD).all() and (small.min() < FAILS).all()
    return Verdict(f"median accuracy on {rows['shape'].iloc[0]} with N = {found}", holds)


def _counts_without_error(evidence: Evidence) -> Verdict:
    rows = evidence.final("counting", architecture="EQ", augmentation=False)
    worst = instance_scores(rows, "accuracy", ["shape"]).groupby("shape")["accuracy"].min()
    worst = worst.sort_index(key=sizes)
    listed = ", ".join(f"{shape} {accuracy:.6g}" for shape, accuracy in worst.items())
    return Verdict(f"worst of {rows['instance'].nunique()} instances: {listed}", (worst == 1.0).all())


def _prefers_small_networks(evidence: Evidence) -> Verdict:
    parts, numbers = [], []
    for task in ("regression", "detection", "counting"):
        tables.require_searches(evidence.run, task)
        rows = evidence.final(task, augmentation=False)
        for name in ("EQ", "ST", "FL"):
            select(rows, architecture=name)
        parameters = rows.groupby("architecture", sort=False)["n_parameters"].unique()
        numbers += [n for found in parameters for n in found]
        parts.append(f"{task} {', '.join(f'{name} {_numbers(found)}' for name, found in parameters.items())}")
    return Verdict("; ".join(parts), all(SMALLEST_NETWORK <= n <= LARGEST_NETWORK for n in numbers))


def _numbers(found: Sequence[int]) -> str:
    """The sizes of the winners of several searches."""
    return " and ".join(str(n) for n in sorted(found))


def _losses(rows: pd.DataFrame, architecture: str, *, augmentation: bool = False) -> np.ndarray:
    """The losses of all instances of an architecture. Raises InputError if it has no rows."""
    chosen = select(rows, architecture=architecture, augmentation=augmentation)
    return instance_scores(chosen, "loss")["loss"].to_numpy()


class Factor(NamedTuple):
    """How many times larger one loss is than another."""

    value: float
    interval: Interval

    def __str__(self) -> str:
        return f"{self.value:.3g}{_in_brackets(self.interval)}"


def _factor(larger: np.ndarray, smaller: np.ndarray) -> Factor:
    """The ratio of two medians over instances; infinite over zero, and not a number where both are 0 or infinite."""
    return Factor(float(ratio_of_medians(larger, smaller)), interval(ratio_of_medians, larger, smaller))


def _over_instances(rows: pd.DataFrame, value: str, by: str, architectures: Sequence[str]) -> OverInstances:
    """What the instances of each architecture reach, at each value of ``by`` that all of them have.

    Raises InputError if an architecture has no rows, or they have none in common.
    """
    found = pd.concat(spread(select(rows, architecture=name), value, by) for name in architectures)
    ends = zip(found["median_low"], found["median_high"], strict=True)
    found["interval"] = [_in_brackets(Interval(low, high)) for low, high in ends]
    medians, intervals = (found.pivot(index=by, columns="architecture", values=name) for name in ("median", "interval"))
    medians = medians[list(architectures)].dropna().sort_index(key=sizes if by == "shape" else None)
    if medians.empty:
        raise InputError(f"{' and '.join(architectures)} were tested at no common {by}")
    return OverInstances(medians, intervals.reindex_like(medians))


def _in_brackets(ends: Interval) -> str:
    """An interval in words; nothing where it has no width."""
    low, high = (f"{end:.3g}" for end in ends)
    return "" if low == high else f" [{low} ... {high}]"


def _all_at_least(times: dict[str, Factor], factor: float) -> bool:
    return all(found.value >= factor for found in times.values())


RULES = (
    Rule(
        "R1",
        "On the training lattice, at the largest training set, EQ predicts n and |phi|^2 far better than ST and FL.",
        "EQ clearly outperforms both (fig. 2)",
        _beats_without_augmentation,
    ),
    Rule(
        "R2",
        "More training data make EQ more accurate, and ST and FL hardly so.",
        "EQ improves, the other two do not benefit significantly (fig. 2)",
        _gains,
    ),
    Rule(
        "R3",
        "EQ also stays far better than ST and FL that were trained with augmented data.",
        "also the case with data augmentation (fig. 2)",
        _beats_with_augmentation,
    ),
    Rule(
        "R4",
        "Trained at one mu and size, EQ follows n and |phi|^2 at all mu and sizes, and finds the silver-blaze onset.",
        "very close to the true values; transition correctly predicted (fig. 3)",
        _follows,
    ),
    Rule("R5", "EQ is far more accurate than ST on every lattice.", "about 10^3 (fig. 4)", _beats_at_every_size),
    Rule(
        "R6",
        "On its own lattice, the much larger flattening network of Zhou et al. has a far higher loss than EQ.",
        "10^-6 with 10^7 parameters on 200x10, two orders above EQ",
        _beats_published_network,
    ),
    Rule(
        "D1",
        "In the detection of an open worm, FL is worse than EQ, and ST is close to EQ.",
        "FL worse, ST very close (fig. 6a)",
        _ranks_detection,
    ),
    Rule("D2", "The detection depends little on mu.", "not particularly sensitive (fig. 6a)", _ignores_mu),
    Rule("D3", "The detection is harder on larger lattices.", "precision reduced (fig. 6b)", _suffers_from_size),
    Rule(
        "D4",
        "Networks that detect open worms react to one of their two ends only.",
        "just one of the two flux violations (fig. 5b)",
        _is_one_sided,
    ),
    Rule(
        "C1",
        "EQ counts any number of open worms well; ST and FL fail at small numbers.",
        "EQ consistently good, ST and FL struggle (fig. 7a)",
        _counts_every_number,
    ),
    Rule(
        "C2",
        "Every EQ instance counts without any error on every lattice.",
        "all 20 instances at 100 % (fig. 7b)",
        _counts_without_error,
    ),
    Rule(
        "S1",
        "The search prefers small and medium-sized networks.",
        "10^2 to 10^5 parameters",
        _prefers_small_networks,
    ),
)
