"""The worm, the textbook algorithm and, at mu = 0, the field itself agree where no exact result is known."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from fluxeq.theory import Theory
from verification import field
from verification.sampled import N_CHAINS, chain_means
from verification.textbook import Textbook
from verification.verdicts import Verdict, family, number

POINTS = [  # number of worms of the textbook algorithm between sweeps
    (Theory(4.01, 1.0, 0.91), (60, 4), 100),
    (Theory(4.01, 1.0, 1.05), (60, 4), 20),
    (Theory(4.01, 1.0, 1.5), (8, 8), 8),
    (Theory(4.25, 1.0, 1.0), (8, 8), 50),
    (Theory(4.01, 1.0, 0.0), (60, 4), 100),
    (Theory(4.01, 1.0, 0.0), (8, 8), 50),
]
N_CONFIGURATIONS = 600  # per chain of the worm algorithm
TEXTBOOK_STEPS = 10000
FIELD_SWEEPS = 6000


def check(seed: int, device: str) -> Iterator[Verdict]:
    """Differences in combined errors, all of them together, and a control: the textbook algorithm at another mu."""
    verdicts = []
    for i, (theory, shape, worms) in enumerate(POINTS):
        ours = chain_means(theory, shape, N_CONFIGURATIONS, seed + i, device)
        others = textbook(theory, shape, worms, seed)
        where = f"{'x'.join(map(str, shape))} eta {theory.eta:g} mu {theory.mu:g}"
        for name in ("n", "phi2"):
            verdicts.append(compared(f"{name} {where}, worm and textbook", ours[name], others[name]))
            yield verdicts[-1]
        if theory.mu == 0:
            truth = field.phi2(theory, shape, N_CHAINS, FIELD_SWEEPS, seed)
            verdicts.append(compared(f"phi2 {where}, worm and field", ours["phi2"], truth))
            yield verdicts[-1]
    yield family("agreement", verdicts)
    theory, shape, worms = POINTS[2]
    ours = chain_means(theory, shape, N_CONFIGURATIONS, seed, device)
    others = textbook(Theory(theory.eta, theory.lam, theory.mu + 0.01), shape, worms, seed)
    yield compared("control: n 8x8, textbook with mu off by 0.01", ours["n"], others["n"], is_control=True)


def textbook(theory: Theory, shape: Sequence[int], worms: int, seed: int) -> dict[str, np.ndarray]:
    """Means of n and |phi|^2 for each chain of the textbook algorithm."""
    means = []
    for c in range(N_CHAINS):
        chain = Textbook(theory, shape, (seed, c))
        chain.run(TEXTBOOK_STEPS // 10, worms=worms, sweeps=1, entry=1.0)
        series, _ = chain.run(TEXTBOOK_STEPS, worms=worms, sweeps=1, entry=1.0)
        means.append(series.mean(axis=0))
    n, phi2, _ = np.array(means).T
    return {"n": n, "phi2": phi2}


def compared(what: str, ours: np.ndarray, others: np.ndarray, *, is_control: bool = False) -> Verdict:
    """The mean of our chains against the mean of the others, which has an error as well."""
    error = others.std(ddof=1) / math.sqrt(len(others))
    return number("agreement", what, ours, float(others.mean()), float(error), is_control=is_control)
