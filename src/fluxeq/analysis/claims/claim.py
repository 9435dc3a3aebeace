"""What a claim is, the registry of them, and the judgement of all on a run, in the order of the paper.

    loss of an architecture     = median over the instances of its first family of the mean loss over all targets and
                                  configurations of the test sets
    accuracy of an architecture = likewise
    [a ... b]                   = 95 % of the bootstrap over instances

A claim is an instance of ``Claim`` under its id in ``fluxeq.claims``. Every threshold is a constant of its module,
fixed beforehand, with its reason; none is a setting. Verified on a made-up run on which all claims hold, for each claim
on one that violates it, and on one that lacks its data.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fluxeq.analysis.tables import Results
from fluxeq.errors import InputError
from fluxeq.registry import Registry
from fluxeq.system.files import write_json


class Verdict(NamedTuple):
    """What was measured, in words, and whether the claim holds."""

    measured: str
    holds: bool


@dataclass(frozen=True)
class Claim:
    """A statement of the paper, or of anybody else, and how it is judged."""

    id: str
    statement: str
    paper: str
    """The paper's number or words."""
    judge: Callable[[Results], Verdict]
    """Raises InputError if the run lacks the data."""
    section: str = ""
    """The section of a study that it is about; empty if it is about all of them."""


@dataclass(frozen=True)
class Judgement:
    """A claim and what a run says of it: a row of ``claims.json``."""

    id: str
    statement: str
    paper: str
    measured: str
    """The numbers of this run; where it lacks them, which."""
    holds: bool | None
    """None only if the run lacks the data for it."""


def _require_claim(name: str, found: Any) -> Claim:
    if not isinstance(found, Claim):
        raise InputError(f"claim {name!r}: an instance of fluxeq.analysis.claims.Claim is needed")
    if ":" not in name and found.id != name:
        raise InputError(f"claim {name!r}: calls itself {found.id!r}; one name is needed")
    return found


_PAPER = (*(f"R{i}" for i in range(1, 7)), *(f"D{i}" for i in range(1, 5)), "C1", "C2", "S1")
CLAIMS: Registry[Claim] = Registry("claim", "claims", _require_claim, *_PAPER)
"""All claims by id, those of the paper first."""


def judge(run: Path) -> list[Judgement]:
    """All claims in their order; those that the run has no numbers for are open."""
    results = Results(run)
    return [judged(CLAIMS[name], results) for name in CLAIMS]


def judged(claim: Claim, results: Results) -> Judgement:
    """One claim on the results of a run."""
    try:
        if claim.section:
            results.section(claim.section)
        measured, holds = claim.judge(results)
        verdict: tuple[str, bool | None] = measured, bool(holds)
    except InputError as error:
        verdict = f"not measured: {error}".replace(f"{results.run}/", ""), None
    return Judgement(claim.id, claim.statement, claim.paper, *verdict)


def write_claims(run: Path) -> list[Judgement]:
    """Judge all claims and write them to ``claims.json`` of the run."""
    found = judge(run)
    write_json(run / "claims.json", [asdict(judgement) for judgement in found])
    return found
